// What goes wrong around a program with TLS_TX. Usage: program PORT FAULT. It connects, asks for a TLS socket, says
// "first" through it, does what the fault needs, and says "last". It tells its peer on stdout how far it is, and reads
// from stdin when it may go on.
#include "socket.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>

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
static void closed_and_watched(int fd) {
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP};
    expect(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
    fill_up(fd);
    alert(fd);
    expect(close(fd) == 0, "close");
    tell("closed");
    expect(epoll_wait(epoll, &event, 1, 300) == 0, "nothing is told of a socket that is closed");
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
static void sealed_and_left(int fd, const char *how) {
    int file = memfd_create("file", 0), other = dup(fd);
    off_t offset = 0;
    if (!strcmp(how, "sealed-by-keys")) {
        struct keys keys = known_keys();
        keys.seq[7] = 2;
        say_more(fd, "open");
        expect(setsockopt(fd, SOL_TLS, TX, &keys, sizeof keys) == 0, "the next keys");
    } else if (!strcmp(how, "sealed-by-an-empty-file")) {
        fill_unseen(fd);
        say_more(fd, "open");
        expect(sendfile(fd, file, &offset, 4) == 0, "an empty file");
    } else if (!strcmp(how, "sealed-by-an-alert")) {
        fill_unseen(fd);
        say_more(fd, "open");
        alert(fd);
    } else if (!strcmp(how, "sealed-alert")) {
        fill_unseen(fd);
        alert(fd);
    } else {
        fill_unseen(fd);
        say_more(other, "open");
        expect(close(other) == 0, "close");
    }
    tell("left");
}

// It ends too where a thread of the program is still in a call on the connection.
static void closed_and_watched_under_a_call(int fd) {
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

// The peer ends the connection while something waits; who reads is told so, and who asks.
static void reset_for_a_reader(int fd) {
    char byte;
    fill_up(fd);
    alert(fd);
    tell("full");
    struct pollfd asked = {.fd = fd, .events = POLLIN};
    expect(poll(&asked, 1, 10000) == 1, "it has ended");
    expect(read(fd, &byte, 1) == -1 && errno == ECONNRESET, "who reads is told");
    expect(read(fd, &byte, 1) == 0, "and once");
}

static void reset_for_who_asks(int fd) {
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

static volatile sig_atomic_t signals;

static void count(int signal) {
    signals++;
    if (signal == SIGALRM && signals == 100) syscall(SYS_write, 1, "beats\n", 6);
}

static void handle(int signal, int flags) {
    struct sigaction action = {.sa_handler = count, .sa_flags = flags};
    expect(sigaction(signal, &action, NULL) == 0, "sigaction");
}

// The direction is over when shutdown says so, also where something still goes out.
static void write_behind_the_end(int fd) {
    fill_up(fd);
    alert(fd);
    handle(SIGPIPE, 0);
    expect(shutdown(fd, SHUT_WR) == 0, "shutdown");
    expect(send(fd, "late", 4, MSG_NOSIGNAL) == -1 && errno == EPIPE, "nothing behind the end");
    expect(signals == 0, "no signal is wanted");
    expect(write(fd, "late", 4) == -1 && errno == EPIPE && signals == 1, "with a signal");
    tell("closed");
}

static void beat(int milliseconds) {
    struct itimerval time = {{0, milliseconds * 1000}, {0, milliseconds * 1000}};
    expect(setitimer(ITIMER_REAL, &time, NULL) == 0, "setitimer");
}

// Sends eight mebibytes, as programs do that go on where a signal has stopped them.
static void send_much(int fd, int is_interrupted) {
    static char much[8 << 20];
    for (size_t i = 0; i < sizeof much; i++) much[i] = "0123456789abcde"[i % 15];
    int stops = 0;
    for (size_t sent = 0; sent < sizeof much;) {
        ssize_t some = write(fd, much + sent, sizeof much - sent);
        if (some < 0) expect(errno == EINTR && is_interrupted, "a signal alone stops it");
        if (some < 0 || sent + some < sizeof much) stops++;
        if (some > 0) sent += some;
    }
    expect(is_interrupted ? stops > 0 : stops == 0, "it stops where it is to");
}

// The peer reads when so many signals have come that the call waits for it, also on a busy machine.
static void interrupted(int fd, int flags) {
    handle(SIGALRM, flags);
    beat(3);
    send_much(fd, !flags);
    beat(0);
}

// A signal ends a call that waits for the peer, and one that waits for readiness.
static void interrupted_waits(int fd) {
    char byte;
    handle(SIGALRM, 0);
    beat(5);
    expect(read(fd, &byte, 1) == -1 && errno == EINTR, "read");
    expect(recv(fd, &byte, 1, MSG_WAITALL) == -1 && errno == EINTR, "recv");
    struct pollfd asked = {.fd = fd, .events = POLLIN};
    expect(poll(&asked, 1, -1) == -1 && errno == EINTR, "poll");
    expect(ppoll(&asked, 1, NULL, NULL) == -1 && errno == EINTR, "ppoll");
    fd_set in;
    FD_ZERO(&in);
    FD_SET(fd, &in);
    expect(select(fd + 1, &in, NULL, NULL, NULL) == -1 && errno == EINTR, "select");
    beat(0);
    sigset_t blocked, none;
    sigemptyset(&none);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGALRM);
    expect(sigprocmask(SIG_BLOCK, &blocked, NULL) == 0 && raise(SIGALRM) == 0, "it is pending");
    expect(ppoll(&asked, 1, NULL, &none) == -1 && errno == EINTR, "ppoll lets it in");
    expect(raise(SIGALRM) == 0, "it is pending");
    expect(pselect(fd + 1, &in, NULL, NULL, NULL, &none) == -1 && errno == EINTR, "and pselect");
}

// The flag is the file's, whatever set it, and is looked at in every call.
static void toggled(int fd) {
    static char much[1 << 20];
    char byte;
    int yes = 1, no = 0;
    expect(ioctl(fd, FIONBIO, &yes) == 0, "FIONBIO");
    expect(read(fd, &byte, 1) == -1 && errno == EAGAIN, "nothing is there");
    size_t sent = 0;
    for (ssize_t some; (some = write(fd, much, sizeof much)) > 0; sent += some) {}
    expect(errno == EAGAIN && fcntl(fd, F_GETFL) & O_NONBLOCK, "it is full");
    int other = dup(fd);
    expect(ioctl(other, FIONBIO, &no) == 0 && !(fcntl(fd, F_GETFL) & O_NONBLOCK), "of the file");
    tell("full");
    size_t rest = sizeof much - sent % sizeof much;
    expect(write(fd, much, rest) == (ssize_t)rest, "it waits now");
    nonblocking(fd, 1);
    expect(recv(other, &byte, 1, 0) == -1 && errno == EAGAIN, "nothing is there");
    nonblocking(fd, 0);
    printf("%zu\n", sent + rest);
    close(other);
}

// A process whose root is an empty directory, before it asks.
static int in_an_empty_root(int port, const char *place) {
    int fd = dial(port);
    expect(getuid() == 0 || syscall(SYS_unshare, CLONE_NEWUSER) == 0, "a user who may");
    expect(chroot(place) == 0 && chdir("/") == 0, "chroot");
    expect(start(fd) == 0, "TLS_TX");
    return fd;
}

// From here on neither call can be made.
static void forbid(int one, int other) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, one, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, other, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    expect(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "PR_SET_NO_NEW_PRIVS");
    expect(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "seccomp");
}

// What is held where there are threads goes out at once where there are none.
static void without_threads(int fd) {
    forbid(SYS_clone, SYS_clone3);
    int file = memfd_create("file", 0);
    say(file, "file");
    for (int i = 0; i < 3; i++) {
        off_t offset = 0;
        say(fd, "head");
        expect(sendfile(fd, file, &offset, 4) == 4, "sendfile");
    }
    say(fd, "alone");
    for (int i = 0; i < 2; i++) {
        expect(send(fd, "open", 4, MSG_MORE) == 4, "what more follows");
    }
    tell("waits");
}

// Where a filter forbids close_range, numbers are closed one by one: also those above the limit, and in no more
// steps than there are numbers.
static void close_under_a_filter(int fd) {
    struct rlimit low;
    expect(getrlimit(RLIMIT_NOFILE, &low) == 0, "getrlimit");
    int high = low.rlim_cur - 1;
    expect(dup2(0, high) == high, "a high number");
    low.rlim_cur = fd + 64;
    expect(setrlimit(RLIMIT_NOFILE, &low) == 0, "setrlimit");
    forbid(SYS_close_range, SYS_close_range);
    closefrom(fd + 1);
    expect(fcntl(high, F_GETFD) == -1 && errno == EBADF, "it is closed");
}

// From here on no memory can be had, but what there is. Returns what gives it back.
static void *use_up_memory(void) {
    struct rlimit none = {0, RLIM_INFINITY};
    expect(setrlimit(RLIMIT_DATA, &none) == 0, "RLIMIT_DATA");
    none.rlim_cur = 1;
    expect(setrlimit(RLIMIT_AS, &none) == 0, "RLIMIT_AS");
    void **last = NULL;
    for (size_t size = 1 << 16; size >= sizeof last; size /= 2) {
        for (void **more; (more = malloc(size)); last = more) *more = last;
    }
    return last;
}

static void give_back_memory(void **last) {
    struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    expect(setrlimit(RLIMIT_AS, &all) == 0 && setrlimit(RLIMIT_DATA, &all) == 0, "all of it");
    while (last) {
        void **next = *last;
        free(last);
        last = next;
    }
}

// A program that is out of memory is told so, and nothing that was taken is lost.
static void without_memory(int fd) {
    static char much[1 << 20];
    for (size_t i = 0; i < sizeof much; i++) much[i] = "0123456789abcde"[i % 15];
    struct iovec halves[2] = {{much, sizeof much / 2}, {much + sizeof much / 2, sizeof much / 2}};
    int file = memfd_create("file", 0);
    int pipe_ends[2];
    expect(ftruncate(file, 100000) == 0 && pipe(pipe_ends) == 0, "a file and a pipe");
    say(pipe_ends[1], "piped");
    off_t offset = 0;
    struct pollfd many[64] = {{.fd = fd, .events = POLLOUT}};
    for (int i = 1; i < 64; i++) many[i].fd = -1;
    void *last = use_up_memory();
    ssize_t sent = write(fd, much, sizeof much);
    int failed = errno;
    ssize_t file_sent = sendfile(fd, file, &offset, 100000);
    int file_failed = errno;
    ssize_t gathered = writev(fd, halves, 2);
    int gathered_failed = errno;
    ssize_t spliced = splice(pipe_ends[0], NULL, fd, NULL, 5, 0);
    int spliced_failed = errno;
    int polled = poll(many, 64, 0);
    int polled_failed = errno;
    give_back_memory(last);
    expect(sent > 0 || failed == ENOMEM, "write");
    expect(file_sent == -1 && file_failed == ENOMEM && offset == 0, "sendfile");
    expect(gathered > 0 || gathered_failed == ENOMEM, "writev");
    expect(spliced == -1 && spliced_failed == ENOMEM, "splice");
    expect(polled == 1 || polled_failed == ENOMEM, "poll");
    sent = (sent > 0 ? sent : 0) + (gathered > 0 ? gathered : 0);
    printf("%zd\n", sent);
}

static void *write_much(void *fd) {
    static char much[4 << 20];
    return (void *)(write(*(int *)fd, much, sizeof much) == sizeof much ? 1L : -1L);
}

// Two threads are in calls on the connection, which is closed under them; as in the kernel they go on. The number is
// another connection's meanwhile.
static void closed_under_calls(int fd, int port) {
    pthread_t reader, writer;
    void *got = NULL;
    int same = fd;
    expect(pthread_create(&reader, NULL, read_one, &same) == 0, "a thread");
    expect(pthread_create(&writer, NULL, write_much, &same) == 0, "a thread");
    usleep(200000);
    expect(close(fd) == 0, "close");
    int other = dial(port);
    expect(other == fd, "the number comes again");
    say(other, "in plain words");
    expect(close(other) == 0, "close");
    tell("closed");
    expect(pthread_join(reader, &got) == 0 && got == (void *)'x', "the reader gets its byte");
    expect(pthread_join(writer, &got) == 0 && got == (void *)1L, "the writer is done");
}

// Many connections at once: each seals for itself, and leaves nothing behind.
static void many(int port, int count) {
    int *fds = calloc(count, sizeof *fds);
    struct rlimit limit;
    expect(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    expect(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
    int epoll = epoll_create1(0);
    for (int i = 0; i < count; i++) {
        fds[i] = dial(port);
        struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u32 = i};
        expect(epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event) == 0, "epoll_ctl");
        expect(start(fds[i]) == 0, "TLS_TX");
    }
    for (int i = 0; i < count; i++) {
        char text[16];
        sprintf(text, "number %d", i);
        say(fds[i], text);
    }
    tell("all");
    for (int told = 0; told < count;) {
        struct epoll_event events[64];
        int some = epoll_wait(epoll, events, 64, 10000);
        expect(some > 0, "each is told of");
        for (int i = 0; i < some; i++) {
            char byte;
            int fd = fds[events[i].data.u32];
            expect(read(fd, &byte, 1) == 1 && byte == 'x', "the right one");
        }
        told += some;
    }
    for (int i = 0; i < count; i++) expect(close(fds[i]) == 0, "close");
    int next = dup(0);
    expect(next < 16, "the numbers are free again");
    int hidden = fcntl(0, F_DUPFD, 1024);
    expect(hidden <= 1026, "and the hidden ones");
}

// Arrays of poll and sets of select that cannot be written are errors, as addresses that cannot be read.
static void arrays_to_read(int fd) {
    struct pollfd *asked = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    asked->fd = fd;
    asked->events = POLLOUT;
    expect(mprotect(asked, 4096, PROT_READ) == 0, "mprotect");
    expect(poll(asked, 1, 0) == -1 && errno == EFAULT, "poll");
    fd_set *set = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    FD_SET(fd, set);
    expect(mprotect(set, 4096, PROT_READ) == 0, "mprotect");
    struct timeval now = {0};
    expect(select(fd + 1, NULL, set, NULL, &now) == -1 && errno == EFAULT, "select");
}

// What is left of select's time is written back, as Linux does.
static void time_that_is_left(int fd) {
    fd_set in, out;
    struct timeval left = {0, 20000};
    FD_ZERO(&in);
    FD_SET(fd, &in);
    expect(select(fd + 1, &in, NULL, NULL, &left) == 0, "nothing comes");
    expect(left.tv_sec == 0 && left.tv_usec == 0, "no time is left");
    left.tv_sec = 1000;
    left.tv_usec = 0;
    FD_ZERO(&out);
    FD_SET(fd, &out);
    expect(select(fd + 1, NULL, &out, NULL, &left) == 1, "it can be written to");
    expect(left.tv_sec > 900 && left.tv_sec <= 1000, "most of it is left");
    left.tv_usec = -1;
    expect(select(fd + 1, NULL, &out, NULL, &left) == -1 && errno == EINVAL, "no time");
}

// Calls that few programs make.
static void rare_calls(int fd) {
    struct iovec pieces[2] = {{"pw", 2}, {"ritev2", 6}};
    char byte;
    struct iovec one = {&byte, 1};
    expect(pwritev2(fd, pieces, 2, -1, 0) == 8, "pwritev2");
    expect(pwritev2(fd, pieces, 2, 5, 0) == -1 && errno == ESPIPE, "a socket has no offsets");
    expect(pwritev2(fd, pieces, 2, -1, 0x40000000) == -1 && errno == EOPNOTSUPP, "another flag");
    nonblocking(fd, 1);
    expect(preadv2(fd, &one, 1, -1, 0) == -1 && errno == EAGAIN, "preadv2");
    nonblocking(fd, 0);
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLOUT};
    struct timespec now = {0};
    expect(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
    expect(epoll_pwait2(epoll, &event, 1, &now, NULL) == 1, "epoll_pwait2");
    errno = 77;
    char memory[8];
    FILE *stream = fmemopen(memory, sizeof memory, "w");
    expect(fclose(stream) == 0 && errno == 77, "fclose keeps errno");
    // The library's mark at the number is taken away, by a call that it does not see.
    struct pollfd ready = {fd, POLLOUT, 0};
    expect(syscall(SYS_fcntl, fd, F_SETSIG, SIGIO) == 0, "F_SETSIG");
    expect(poll(&ready, 1, 1000) == 1, "poll");
}

// More epoll instances than a program has as a rule.
static int watched_often(int port) {
    int fd = dial(port), epolls[5];
    struct epoll_event event = {.events = EPOLLOUT};
    for (int i = 0; i < 5; i++) {
        epolls[i] = epoll_create1(0);
        event.data.u64 = i;
        expect(epoll_ctl(epolls[i], EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
    }
    expect(start(fd) == 0, "TLS_TX");
    for (uint64_t i = 0; i < 5; i++) {
        expect(epoll_wait(epolls[i], &event, 1, 0) == 1 && event.data.u64 == i, "it is watched");
    }
    return fd;
}

static volatile sig_atomic_t is_in_the_library, may_go_on;

static void stay_in_the_library(int signal) {
    is_in_the_library = 1;
    while (!may_go_on) {}
}

static void *start_it(void *fd) {
    return (void *)(start(*(int *)fd) == 0 ? 1L : -1L);
}

// A thread makes the list of connections, and holds its lock, while another forks; the child has connections too.
static int forked_under_the_list(int port, int other_port) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_memfd_create, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    int fd = dial(port), status;
    pthread_t starter;
    void *started;
    struct sigaction action = {.sa_handler = stay_in_the_library};
    expect(sigaction(SIGSYS, &action, NULL) == 0, "sigaction");
    expect(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "PR_SET_NO_NEW_PRIVS");
    expect(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "seccomp");
    expect(pthread_create(&starter, NULL, start_it, &fd) == 0, "a thread");
    while (!is_in_the_library) usleep(1000);
    pid_t child = fork();
    if (child == 0) {
        alarm(10);
        int other = dial(other_port);
        expect(start(other) == 0, "TLS_TX");
        say(other, "the child's");
        _exit(0);
    }
    expect(waitpid(child, &status, 0) == child && status == 0, "the child waits for nobody");
    may_go_on = 1;
    expect(pthread_join(starter, &started) == 0 && started == (void *)1L, "TLS_TX");
    return fd;
}

// A process that came by fork, which the C library has not seen, waits while its parent holds the head of a response.
static void forked_under_a_head(int fd) {
    int file = memfd_create("file", 0), status;
    say(file, "file");
    for (int i = 0; i < 20; i++) {
        off_t offset = 0;
        say(fd, "head");
        pid_t child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
        if (child == 0) {
            alarm(10);
            _exit(poll(NULL, 0, 0));
        }
        expect(sendfile(fd, file, &offset, 4) == 4, "sendfile");
        expect(waitpid(child, &status, 0) == child && status == 0, "the child has waited");
    }
}

static void *talk(void *fd) {
    for (;;) say(*(int *)fd, "0123456789");
}

// Two threads write, and a third sends files, until this is killed.
static void talk_for_ever(int fd) {
    pthread_t threads[2];
    int file = memfd_create("file", 0);
    say(file, "0123456789");
    for (int i = 0; i < 2; i++) expect(pthread_create(&threads[i], NULL, talk, &fd) == 0, "a thread");
    say_step("talks");
    for (;;) {
        off_t offset = 0;
        expect(sendfile(fd, file, &offset, 10) == 10, "sendfile");
    }
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
static void closed_by_a_handler(int fd, int port) {
    struct sigaction action = {.sa_handler = close_one, .sa_flags = SA_RESTART};
    pthread_t self = pthread_self(), other;
    static char block[20000];
    int before = numbers();
    alarm(30);
    for (int i = 0; i < CLOSED; i++) {
        to_close[i] = dial(port);
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

static void *shorten_file(void *file) {
    usleep(300000);
    expect(ftruncate(*(int *)file, 100000) == 0, "ftruncate");
    say_step("shorter");
    return NULL;
}

// A file gets shorter while it is sent: what is there of it goes, and is counted.
static void send_a_file_that_shrinks(int fd) {
    static char block[1 << 20];
    pthread_t thread;
    int file = memfd_create("file", 0);
    off_t offset = 0;
    for (size_t i = 0; i < sizeof block; i++) block[i] = 'a' + i % 23;
    for (int i = 0; i < 64; i++) expect(write(file, block, sizeof block) == sizeof block, "a file");
    shorten(fd);
    expect(pthread_create(&thread, NULL, shorten_file, &file) == 0, "a thread");
    ssize_t sent = sendfile(fd, file, &offset, 64 << 20);
    expect(sent > 0 && sent < 64 << 20 && offset == sent, "a part of it");
    expect(sendfile(fd, file, &offset, 1000) == 0, "there is no more");
    expect(pthread_join(thread, NULL) == 0, "a thread");
    printf("%zd\n", sent);
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    int port = atoi(argv[1]);
    const char *fault = argv[2];
    if (!strcmp(fault, "many")) {
        many(port, atoi(argv[3]));
        return 0;
    }
    int fd;
    if (!strcmp(fault, "chroot")) {
        fd = in_an_empty_root(port, argv[3]);
    } else if (!strcmp(fault, "forked-under-the-list")) {
        fd = forked_under_the_list(port, atoi(argv[3]));
    } else if (!strcmp(fault, "watched-often")) {
        fd = watched_often(port);
    } else {
        fd = dial(port);
        expect(start(fd) == 0, "TLS_TX");
    }
    say(fd, "first");
    if (!strcmp(fault, "closed-and-watched")) {
        closed_and_watched(fd);
        return 0;
    } else if (!strcmp(fault, "closed-and-watched-under-a-call")) {
        closed_and_watched_under_a_call(fd);
        return 0;
    } else if (!strncmp(fault, "sealed", 6)) {
        sealed_and_left(fd, fault);
        return 0;
    } else if (!strcmp(fault, "reset-for-a-reader")) {
        reset_for_a_reader(fd);
        return 0;
    } else if (!strcmp(fault, "reset-for-who-asks")) {
        reset_for_who_asks(fd);
        return 0;
    } else if (!strcmp(fault, "behind-the-end")) {
        write_behind_the_end(fd);
        return 0;
    } else if (!strcmp(fault, "interrupted")) {
        interrupted(fd, 0);
    } else if (!strcmp(fault, "restarted")) {
        interrupted(fd, SA_RESTART);
    } else if (!strcmp(fault, "interrupted-waits")) {
        interrupted_waits(fd);
    } else if (!strcmp(fault, "toggled")) {
        toggled(fd);
    } else if (!strcmp(fault, "no-threads")) {
        without_threads(fd);
    } else if (!strcmp(fault, "no-memory")) {
        without_memory(fd);
    } else if (!strcmp(fault, "closed-under-calls")) {
        closed_under_calls(fd, atoi(argv[3]));
        return 0;
    } else if (!strcmp(fault, "closed-by-a-handler")) {
        closed_by_a_handler(fd, atoi(argv[3]));
    } else if (!strcmp(fault, "closefrom")) {
        close_under_a_filter(fd);
    } else if (!strcmp(fault, "killed")) {
        talk_for_ever(fd);
    } else if (!strcmp(fault, "shrinks")) {
        send_a_file_that_shrinks(fd);
    } else if (!strcmp(fault, "arrays")) {
        arrays_to_read(fd);
    } else if (!strcmp(fault, "time-left")) {
        time_that_is_left(fd);
    } else if (!strcmp(fault, "rare-calls")) {
        rare_calls(fd);
    } else if (!strcmp(fault, "forked-under-a-head")) {
        forked_under_a_head(fd);
    } else if (strcmp(fault, "chroot") && strcmp(fault, "watched-often") && strcmp(fault, "forked-under-the-list")) {
        return 2;
    }
    say(fd, "last");
    return 0;
}
