// Connections that end while something still goes out, or a call goes on.
#include "tests.h"
#include "signals.h"

// Has the socket take little, and writes zeros until it is full.
static void fill_up(int fd) {
    shorten(fd);
    fill(fd);
}

static void *read_one(void *fd) {
    char byte;
    ssize_t got = read(*(int *)fd, &byte, 1);
    return (void *)(got == 1 ? (long)byte : -1L);
}

// What epoll says of the connection ends with it, though something still goes out.
static void closed_and_watched(int fd, const char *more) {
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP};
    expect(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
    fill_up(fd);
    alert(fd);
    expect(close(fd) == 0, "close");
    tell("closed");
    expect(epoll_wait(epoll, &event, 1, 300) == 0, "nothing is told of a socket that is closed");
}

// It ends too where a thread of the program is still in a call on the connection.
static void closed_and_watched_under_a_call(int fd, const char *more) {
    int epoll = epoll_create1(0), same = fd;
    struct epoll_event event = {.events = EPOLLOUT};
    pthread_t reader;
    void *got = NULL;
    expect(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
    expect(pthread_create(&reader, NULL, read_one, &same) == 0, "a thread");
    usleep(200000);
    expect(close(fd) == 0, "close");
    expect(epoll_wait(epoll, &event, 1, 300) == 0, "nothing is told of a socket that is closed");
    tell("closed");
    expect(pthread_join(reader, &got) == 0 && got == (void *)'x', "the reader gets its byte");
}

// Has the socket take zeros until it takes no more, past the library: nothing waits in it.
static void fill_unseen(int fd) {
    static char block[16384];
    int hidden = hidden_number();
    shorten(fd);
    nonblocking(fd, 1);
    for (int idle = 0; idle < 5; idle++) {
        while (syscall(SYS_sendto, hidden, block, sizeof block, MSG_DONTWAIT, NULL, 0) > 0) idle = 0;
        expect(errno == EAGAIN, "it is full");
        usleep(20000);
    }
}

// What is sealed at a full socket, and was told to be sent, goes out while the program does nothing.
static void sealed_by_keys(int fd, const char *more) {
    struct keys keys = known_keys();
    keys.seq[7] = 2;
    say_more(fd, "open");
    expect(setsockopt(fd, SOL_TLS, TX, &keys, sizeof keys) == 0, "the next keys");
    tell("left");
}

static void sealed_by_an_empty_file(int fd, const char *more) {
    int file = memfd_create("file", 0);
    off_t offset = 0;
    fill_unseen(fd);
    say_more(fd, "open");
    expect(sendfile(fd, file, &offset, 4) == 0, "an empty file");
    tell("left");
}

static void sealed_by_an_alert(int fd, const char *more) {
    fill_unseen(fd);
    say_more(fd, "open");
    alert(fd);
    tell("left");
}

static void sealed_alert(int fd, const char *more) {
    fill_unseen(fd);
    alert(fd);
    tell("left");
}

static void sealed_by_a_close(int fd, const char *more) {
    int other = dup(fd);
    fill_unseen(fd);
    say_more(other, "open");
    expect(close(other) == 0, "close");
    tell("left");
}

// A head that is held is sealed by a call that receives.
static void sealed_by_a_reader(int fd, const char *more) {
    int file = memfd_create("file", 0);
    off_t offset = 0;
    char byte;
    say(file, "file");
    say(fd, "head");
    expect(sendfile(fd, file, &offset, 4) == 4, "sendfile");
    fill_unseen(fd);
    say(fd, "head");
    expect(recv(fd, &byte, 1, 0) == -1 && errno == EAGAIN, "nothing is there");
    // The library looks at what is held meanwhile.
    usleep(100000);
    tell("left");
}

// The peer ends the connection while something waits; who reads is told so, and who asks.
static void reset_for_a_reader(int fd, const char *more) {
    char byte;
    fill_up(fd);
    alert(fd);
    tell("full");
    struct pollfd asked = {.fd = fd, .events = POLLIN};
    expect(poll(&asked, 1, 10000) == 1, "it has ended");
    expect(read(fd, &byte, 1) == -1 && errno == ECONNRESET, "who reads is told");
    expect(read(fd, &byte, 1) == 0, "and once");
}

static void reset_for_who_asks(int fd, const char *more) {
    int error = 0;
    socklen_t len = sizeof error;
    fill_up(fd);
    alert(fd);
    tell("full");
    struct pollfd asked = {.fd = fd, .events = POLLIN};
    expect(poll(&asked, 1, 10000) == 1, "it has ended");
    struct sockaddr_in name;
    socklen_t name_len = sizeof name;
    getsockname(fd, (struct sockaddr *)&name, &name_len);
    expect(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == ECONNRESET,
           "who asks is told");
    expect(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0, "and once");
}

// The direction is over when shutdown says so, also where something still goes out.
static void write_behind_the_end(int fd, const char *more) {
    fill_up(fd);
    alert(fd);
    handle(SIGPIPE, 0);
    expect(shutdown(fd, SHUT_WR) == 0, "shutdown");
    expect(send(fd, "late", 4, MSG_NOSIGNAL) == -1 && errno == EPIPE, "nothing behind the end");
    expect(signals == 0, "no signal is wanted");
    expect(write(fd, "late", 4) == -1 && errno == EPIPE && signals == 1, "with a signal");
    tell("closed");
}

static void *write_much(void *fd) {
    static char much[4 << 20];
    return (void *)(write(*(int *)fd, much, sizeof much) == sizeof much ? 1L : -1L);
}

// Two threads are in calls on the connection, which is closed under them; as in the kernel they go on. The number is
// another connection's meanwhile.
static void closed_under_calls(int fd, const char *port) {
    pthread_t reader, writer;
    void *got = NULL;
    int same = fd;
    expect(pthread_create(&reader, NULL, read_one, &same) == 0, "a thread");
    expect(pthread_create(&writer, NULL, write_much, &same) == 0, "a thread");
    usleep(200000);
    expect(close(fd) == 0, "close");
    int other = dial(atoi(port));
    expect(other == fd, "the number comes again");
    say(other, "in plain words");
    expect(close(other) == 0, "close");
    tell("closed");
    expect(pthread_join(reader, &got) == 0 && got == (void *)'x', "the reader gets its byte");
    expect(pthread_join(writer, &got) == 0 && got == (void *)1L, "the writer is done");
}

// Connections that a signal handler closes.
#define CLOSED 64
static int to_close[CLOSED];
static volatile sig_atomic_t closed, close_failed;

static void close_one(int signal) {
    int error = errno;
    if (closed < CLOSED && close(to_close[closed++])) close_failed = 1;
    errno = error;
}

static void *interrupt_often(void *thread) {
    while (closed < CLOSED) {
        pthread_kill(*(pthread_t *)thread, SIGUSR1);
        usleep(300);
    }
    return NULL;
}

// How many numbers are in use.
static int numbers(void) {
    int count = 0;
    for (int fd = 0; fd < 4096; fd++) count += syscall(SYS_fcntl, fd, F_GETFD) != -1;
    return count;
}

// A signal handler closes connections while this thread is in the library.
static void closed_by_a_handler(int fd, const char *port) {
    struct sigaction action = {.sa_handler = close_one, .sa_flags = SA_RESTART};
    pthread_t self = pthread_self(), other;
    static char block[20000];
    int before = numbers();
    alarm(30);
    for (int i = 0; i < CLOSED; i++) {
        to_close[i] = dial(atoi(port));
        expect(start(to_close[i]) == 0, "TLS_TX");
        say_more(to_close[i], "open");
    }
    expect(sigaction(SIGUSR1, &action, NULL) == 0, "sigaction");
    expect(pthread_create(&other, NULL, interrupt_often, &self) == 0, "a thread");
    while (closed < CLOSED) {
        int another = dup(fd);
        expect(write(another, block, sizeof block) == sizeof block, "a write is taken");
        expect(close(another) == 0, "close");
    }
    expect(pthread_join(other, NULL) == 0, "a thread");
    expect(!close_failed, "each is closed");
    // A thread of the library may still look at one.
    for (int i = 0; i < 5000 && numbers() != before; i++) usleep(1000);
    expect(numbers() == before, "no number is left");
    tell("closed");
}

const struct test ends[] = {
    {"closed-and-watched", .run = closed_and_watched, .is_last = 1},
    {"closed-and-watched-under-a-call", .run = closed_and_watched_under_a_call, .is_last = 1},
    {"sealed-by-keys", .run = sealed_by_keys, .is_last = 1},
    {"sealed-by-an-empty-file", .run = sealed_by_an_empty_file, .is_last = 1},
    {"sealed-by-an-alert", .run = sealed_by_an_alert, .is_last = 1},
    {"sealed-alert", .run = sealed_alert, .is_last = 1},
    {"sealed-by-a-close", .run = sealed_by_a_close, .is_last = 1},
    {"sealed-by-a-reader", .run = sealed_by_a_reader, .is_last = 1},
    {"reset-for-a-reader", .run = reset_for_a_reader, .is_last = 1},
    {"reset-for-who-asks", .run = reset_for_who_asks, .is_last = 1},
    {"behind-the-end", .run = write_behind_the_end, .is_last = 1},
    {"closed-under-calls", .run = closed_under_calls, .is_last = 1},
    {"closed-by-a-handler", .run = closed_by_a_handler},
    {0},
};
