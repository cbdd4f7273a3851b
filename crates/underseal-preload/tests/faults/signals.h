// Signals that are counted.
static volatile sig_atomic_t signals;

static void count(int signal) {
    signals++;
    if (signal == SIGALRM && signals == 100) syscall(SYS_write, 1, "beats\n", 6);
}

static void handle(int signal, int flags) {
    struct sigaction action = {.sa_handler = count, .sa_flags = flags};
    expect(sigaction(signal, &action, NULL) == 0, "sigaction");
}

// Has SIGALRM come again and again, or no more.
static void beat(int milliseconds) {
    struct itimerval time = {{0, milliseconds * 1000}, {0, milliseconds * 1000}};
    expect(setitimer(ITIMER_REAL, &time, NULL) == 0, "setitimer");
}
