// What somebody does to a connection who wants to break it. Usage: program PORT ATTACK [PORT]. It connects, asks for a
// TLS socket, says "first" through it, attacks it, and says "last". MARKER is what must not be seen.
#include "socket.h"
#include <sched.h>
#include <spawn.h>

// Calls with addresses that are not there, and lengths that are wrong: an error each, never a signal. What some of them
// are, as addresses: nothing, the first page, the last, and a page that is taken away.
static char *bad[4];

static char *no_page(void) {
    char *page = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || mprotect(page + 4096, 4096, PROT_NONE)) die("mmap");
    return page + 4096;
}

#define FAULTS(call) expect((call) == -1 && errno == EFAULT, #call)
#define FAILS(call) expect((call) == -1, #call)

static void bad_addresses_to_send(int fd, char *no) {
    struct iovec piece = {no, 10}, pieces[2] = {{"x", 0}, {no, 3}};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    struct mmsghdr messages = {.msg_hdr = message};
    FAULTS(write(fd, no, 10));
    FAULTS(send(fd, no, 40000, MSG_MORE));
    FAULTS(sendto(fd, no, 10, 0, NULL, 0));
    FAULTS(writev(fd, &piece, 1));
    FAULTS(writev(fd, pieces, 2));
    FAULTS(writev(fd, (struct iovec *)no, 2));
    FAULTS(pwritev2(fd, &piece, 1, -1, 0));
    FAULTS(sendmsg(fd, &message, 0));
    FAULTS(sendmsg(fd, (struct msghdr *)no, 0));
    FAULTS(sendmmsg(fd, &messages, 1, 0));
    FAULTS(sendmmsg(fd, (struct mmsghdr *)no, 1, 0));
    message.msg_iov = (struct iovec *)no;
    FAULTS(sendmsg(fd, &message, 0));
    message.msg_iov = &piece;
    message.msg_control = no;
    message.msg_controllen = CMSG_SPACE(1);
    FAULTS(sendmsg(fd, &message, 0));
    message.msg_controllen = ~0UL;
    FAILS(sendmsg(fd, &message, 0));
    message.msg_iovlen = ~0UL;
    FAILS(sendmsg(fd, &message, 0));
    piece.iov_len = ~0UL;
    expect(writev(fd, &piece, 1) == -1 && errno == EINVAL, "no length");
    expect(write(fd, no, ~0UL) == -1, "no length");
}

static void bad_addresses_to_receive(int fd, char *no) {
    char byte;
    struct iovec piece = {no, 10}, good = {&byte, 1};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    struct mmsghdr messages = {.msg_hdr = message};
    FAULTS(read(fd, no, 4));
    FAULTS(recv(fd, no, 4, MSG_DONTWAIT));
    FAULTS(recvfrom(fd, no, 4, MSG_DONTWAIT, NULL, NULL));
    FAULTS(readv(fd, &piece, 1));
    FAULTS(readv(fd, (struct iovec *)no, 1));
    FAULTS(preadv2(fd, &piece, 1, -1, 0));
    FAULTS(recvmsg(fd, &message, MSG_DONTWAIT));
    FAULTS(recvmsg(fd, (struct msghdr *)no, MSG_DONTWAIT));
    FAULTS(recvmmsg(fd, &messages, 1, MSG_DONTWAIT, NULL));
    FAULTS(recvmmsg(fd, (struct mmsghdr *)no, 1, MSG_DONTWAIT, NULL));
    FAILS(readv(fd, &good, -1));
    FAILS(readv(fd, &good, 2000));
}

static void bad_addresses_of_options(int fd, char *no) {
    struct keys keys = known_keys();
    socklen_t len = sizeof keys;
    int options[][2] = {{SOL_TLS, TX}, {SOL_TLS, 3}, {SOL_TLS, 5}, {SOL_SOCKET, SO_SNDBUF}, {IPPROTO_TCP, TCP_NODELAY}};
    int lens[] = {sizeof keys, 4, 2, 4, 4};
    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        len = lens[i];
        int failed = setsockopt(fd, options[i][0], options[i][1], no, lens[i]);
        expect(failed == -1 && (errno == EFAULT || errno == EINVAL), "an option");
        failed = getsockopt(fd, options[i][0], options[i][1], no, &len);
        expect(failed == -1 && (errno == EFAULT || errno == EINVAL), "an option to get");
        failed = getsockopt(fd, options[i][0], options[i][1], &keys, (socklen_t *)no);
        expect(failed == -1 && errno == EFAULT, "its length");
    }
    for (socklen_t wrong = 0; wrong < 100; wrong++) {
        char much[100] = {0};
        if (wrong == sizeof keys) continue;
        memcpy(much, &keys, sizeof keys);
        expect(setsockopt(fd, SOL_TLS, TX, much, wrong) == -1, "keys of another length");
    }
    expect(setsockopt(fd, SOL_TLS, TX, &keys, ~0U) == -1 && errno == EINVAL, "keys without end");
    for (int name = -1; name < 40; name++) {
        if (name >= 1 && name <= 5) continue;
        expect(setsockopt(fd, SOL_TLS, name, &keys, sizeof keys) == -1, "no option of TLS");
        len = sizeof keys;
        expect(getsockopt(fd, SOL_TLS, name, &keys, &len) == -1, "no option of TLS");
    }
    len = 0;
    expect(getsockopt(fd, SOL_TLS, TX, &keys, &len) == -1 && errno == EINVAL, "no room");
    FAULTS(getsockname(fd, (struct sockaddr *)&keys, (socklen_t *)no));
    FAULTS(getpeername(fd, (struct sockaddr *)&keys, (socklen_t *)no));
    FAULTS(ioctl(fd, FIONREAD, no));
    FAULTS(connect(fd, (struct sockaddr *)no, sizeof(struct sockaddr_in)));
    FAILS(connect(fd, (struct sockaddr *)no, ~0U));
    FAILS(bind(fd, (struct sockaddr *)no, sizeof(struct sockaddr_in)));
    FAILS(shutdown(fd, 99));
    FAILS(fcntl(fd, 9999, no));
    FAILS(ioctl(fd, 0x12345678, no));
}

static void bad_addresses_of_waits(int fd, char *no) {
    struct pollfd asked = {.fd = fd, .events = POLLOUT};
    struct timespec now = {0};
    int epoll = epoll_create1(0);
    fd_set set;
    FAULTS(poll((struct pollfd *)no, 1, 0));
    FAULTS(ppoll((struct pollfd *)no, 1, &now, NULL));
    FAULTS(ppoll(&asked, 1, (struct timespec *)(no ? no : (char *)8), NULL));
    FAULTS(select(fd + 1, NULL, (fd_set *)(no ? no : (char *)8), NULL, NULL));
    FAULTS(pselect(fd + 1, NULL, (fd_set *)(no ? no : (char *)8), NULL, &now, NULL));
    FD_ZERO(&set);
    FD_SET(fd, &set);
    FAULTS(select(fd + 1, NULL, &set, NULL, (struct timeval *)(no ? no : (char *)8)));
    FAULTS(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, (struct epoll_event *)no));
    FAILS(epoll_ctl(epoll, 99, fd, (struct epoll_event *)no));
    FAILS(epoll_ctl(-1, EPOLL_CTL_ADD, fd, (struct epoll_event *)no));
    FAILS(poll(&asked, ~0UL, 0));
    FAILS(select(-1, NULL, &set, NULL, NULL));
    close(epoll);
}

static void bad_addresses_of_files(int fd, char *no) {
    int file = memfd_create("file", 0), pipe_ends[2];
    off_t far[] = {-1, INT64_MIN};
    say(file, "file");
    expect(pipe(pipe_ends) == 0 && write(pipe_ends[1], "piped", 5) == 5, "a pipe");
    if (no) FAULTS(sendfile(fd, file, (off_t *)no, 4));
    for (int i = 0; i < 2; i++) expect(sendfile(fd, file, &far[i], 4) == -1 && errno == EINVAL, "no offset");
    far[0] = 1L << 40;
    expect(sendfile(fd, file, &far[0], 4) == 0 && far[0] == 1L << 40, "behind the end");
    far[0] = INT64_MAX - 1;
    expect(sendfile(fd, file, &far[0], 4) <= 0, "at the end of all files");
    if (no) FAILS(splice(pipe_ends[0], (off_t *)no, fd, NULL, 4, 0));
    if (no) FAILS(splice(pipe_ends[0], NULL, fd, (off_t *)no, 4, 0));
    FAILS(sendfile(fd, pipe_ends[0], NULL, 4));
    FAILS(sendfile(fd, fd, NULL, 4));
    FAILS(sendfile(fd, -1, NULL, 4));
    FAILS(splice(-1, NULL, fd, NULL, 4, 0));
    FAILS(splice(file, NULL, fd, NULL, 4, 0));
    close(file), close(pipe_ends[0]), close(pipe_ends[1]);
}

static void take_bytes(int fd) {
    char bytes[10];
    nonblocking(fd, 0);
    expect(recv(fd, bytes, sizeof bytes, MSG_WAITALL) == sizeof bytes, "what the peer has sent");
}

static void bad_addresses_everywhere(int fd) {
    bad[1] = (char *)1;
    bad[2] = (char *)-4095;
    bad[3] = no_page();
    tell("bytes");
    for (int i = 0; i < 4; i++) {
        bad_addresses_to_send(fd, bad[i]);
        bad_addresses_to_receive(fd, bad[i]);
        bad_addresses_of_options(fd, bad[i]);
        bad_addresses_of_waits(fd, bad[i]);
        bad_addresses_of_files(fd, bad[i]);
    }
    take_bytes(fd);
}

static volatile int forks_are_over;

static void *write_meanwhile(void *fd) {
    while (!forks_are_over) say(*(int *)fd, "0123456789");
    return NULL;
}

// Threads write while another one makes processes, which try it too.
static void fork_under_threads(int fd) {
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) expect(pthread_create(&threads[i], NULL, write_meanwhile, &fd) == 0, "a thread");
    for (int i = 0; i < 60; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            alarm(10);
            expect(write(fd, MARKER, LEN) == -1 && errno == EBADFD, "the child cannot write");
            expect(send(fd, MARKER, LEN, MSG_MORE) == -1, "nor open a record");
            _exit(close(fd));
        }
        reap(pid);
    }
    forks_are_over = 1;
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
}

// What a program does to the number that it has another one started with.
static void spawn_with_actions(int fd) {
    posix_spawn_file_actions_t actions;
    char *arguments[] = {"sh", "-c", "echo " MARKER " >&9; echo " MARKER " >&1; for i in /proc/self/fd/*; do echo "
                                     MARKER " >$i; done; true", NULL};
    pid_t pid;
    int out = open("/dev/null", O_RDWR);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fd, 9);
    posix_spawn_file_actions_adddup2(&actions, fd, 1);
    posix_spawn_file_actions_adddup2(&actions, out, 2);
    posix_spawn_file_actions_addclose(&actions, fd);
    posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
    if (posix_spawn(&pid, "/bin/sh", &actions, NULL, arguments, environ)) die("spawn");
    waitpid(pid, NULL, 0);
    say(fd, "after");
}

// A process of its own in the memory of this one writes, and a thread with its own table of numbers.
static int guest(void *fd) {
    syscall(SYS_write, *(int *)fd, MARKER, LEN);
    write(*(int *)fd, "guest", 5);
    close(*(int *)fd);
    close_range(3, ~0U, 0);
    return 0;
}

static void guest_in_this_memory(int fd) {
    static char stack[1 << 16];
    pid_t pid = clone(guest, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, &fd);
    expect(pid > 0, "clone");
    reap(pid);
    say(fd, "after");
}

// Every file of the process that is hidden is closed by the next program, and inert in this one.
static void close_on_exec(int fd) {
    int pid = fork();
    if (pid == 0) {
        close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
        char path[40];
        sprintf(path, "/proc/self/fd/%d", fd);
        execl("/bin/sh", "sh", "-c", "for i in /proc/self/fd/*; do (echo " MARKER " >&${i##*/}) 2>/dev/null; done; true", NULL);
        _exit(7);
    }
    reap(pid);
    expect(close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) == 0, "close_range");
    say(fd, "after");
    expect(fcntl(fd, F_GETFD) == FD_CLOEXEC, "the flag is the number's");
}

// Many pieces, also of nothing, and one too many.
static void many_pieces(int fd) {
    static struct iovec pieces[1025];
    for (int i = 0; i < 1025; i++) pieces[i] = (struct iovec){"0123456789" + i % 10, i % 3 ? 1 : 0};
    ssize_t sent = writev(fd, pieces, 1024);
    expect(sent == 682, "all of them");
    expect(writev(fd, pieces, 1025) == -1 && errno == EINVAL, "one too many");
    expect(writev(fd, pieces, 0) == 0, "none");
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 1025};
    expect(sendmsg(fd, &message, 0) == -1, "one too many");
}

// Flags that the kernel's socket does not take either.
static void other_flags(int fd) {
    int yes = 1, flags[] = {MSG_ZEROCOPY, MSG_OOB, MSG_FASTOPEN, MSG_CONFIRM, MSG_DONTROUTE, 1 << 30};
    setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &yes, sizeof yes);
    struct iovec piece = {MARKER, LEN};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        expect(send(fd, MARKER, LEN, flags[i]) == -1 && errno == EOPNOTSUPP, "send");
        expect(sendmsg(fd, &message, flags[i]) == -1 && errno == EOPNOTSUPP, "sendmsg");
    }
}

// epoll in all its kinds, on a number that poll and select know too, and that is above their sets.
static void all_kinds_of_waits(int fd) {
    int high = fcntl(fd, F_DUPFD, 1500), epoll = epoll_create1(0), other = epoll_create1(0);
    static unsigned long set[1 << 10];
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = 5};
    struct timeval five = {5, 0};
    expect(high >= 1500, "a high number");
    expect(epoll_ctl(epoll, EPOLL_CTL_ADD, high, &event) == 0, "an edge");
    event.events = EPOLLIN | EPOLLEXCLUSIVE;
    expect(epoll_ctl(other, EPOLL_CTL_ADD, high, &event) == 0, "one of many");
    expect(epoll_wait(epoll, &event, 1, 0) == 0, "nothing yet");
    tell("bytes");
    expect(epoll_wait(epoll, &event, 1, 5000) == 1 && event.data.u64 == 5, "an edge");
    expect(epoll_wait(epoll, &event, 1, 50) == 0, "one edge");
    expect(epoll_wait(other, &event, 1, 5000) == 1, "one of many");
    event.events = EPOLLIN | EPOLLONESHOT;
    expect(epoll_ctl(epoll, EPOLL_CTL_MOD, high, &event) == 0, "once");
    expect(epoll_wait(epoll, &event, 1, 5000) == 1 && epoll_wait(epoll, &event, 1, 50) == 0, "once");
    expect(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "the other number is another's to watch");
    expect(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == -1 && errno == EEXIST, "once");
    set[high / 64] = 1UL << high % 64;
    expect(select(high + 1, (fd_set *)set, NULL, NULL, &five) == 1 && set[high / 64], "select");
    expect(epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL) == 0, "one is watched no more");
    expect(epoll_ctl(epoll, EPOLL_CTL_DEL, high, NULL) == 0, "nor the other");
    expect(epoll_ctl(other, EPOLL_CTL_DEL, high, NULL) == 0 && close(high) == 0, "by nobody");
    expect(epoll_wait(epoll, &event, 1, 50) == 0 && epoll_wait(other, &event, 1, 50) == 0, "nobody watches");
    take_bytes(fd);
}

static volatile sig_atomic_t beats;
static void beat(int signal) { beats++; }

// A signal for what comes, which another number of the connection asks for; and what TCP knows of it.
static void signals_and_states(int fd) {
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    struct sigaction action = {.sa_handler = beat};
    expect(sigaction(SIGIO, &action, NULL) == 0, "sigaction");
    expect(fcntl(fd, F_SETOWN, getpid()) == 0 && fcntl(fd, F_GETOWN) == getpid(), "F_SETOWN");
    expect(fcntl(fd, F_SETFL, O_ASYNC) == 0, "O_ASYNC");
    say_step("bytes");
    for (int i = 0; i < 5000 && !beats; i++) usleep(1000);
    expect(beats > 0, "SIGIO");
    expect(fcntl(fd, F_SETFL, 0) == 0, "O_ASYNC");
    expect(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_state == TCP_ESTABLISHED, "TCP_INFO");
    take_bytes(fd);
}

// Ends one direction, then the other: what comes is still read.
static void half_closed(int fd) {
    char text[8] = {0};
    say_more(fd, "open");
    expect(shutdown(fd, SHUT_WR) == 0, "shutdown");
    expect(send(fd, MARKER, LEN, MSG_NOSIGNAL) == -1 && errno == EPIPE, "nothing behind the end");
    expect(dup(fd) >= 0, "dup");
    tell("bytes");
    expect(read(fd, text, sizeof text) > 0, "what comes");
    expect(shutdown(fd, SHUT_RD) == 0 && read(fd, text, sizeof text) >= 0, "and no more");
}

// A connection with something to send, that its program wants to be reset when it closes it.
static void reset_at_close(int fd) {
    struct linger now = {1, 0};
    shorten(fd);
    fill(fd);
    alert(fd);
    expect(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0, "SO_LINGER");
    expect(close(fd) == 0, "close");
    // A thread of the library may still look at it.
    for (int i = 0; i < 5000 && hidden_number() != -1; i++) usleep(1000);
    expect(hidden_number() == -1, "nothing is left of it");
    tell("closed");
}

// Files of other kinds than data on a disk.
static void other_files(int fd) {
    off_t offset = 0;
    int file = open("/dev/zero", O_RDONLY);
    expect(sendfile(fd, file, &offset, 3) == 3 && offset == 3, "/dev/zero");
    file = open("/proc/self/comm", O_RDONLY);
    expect(sendfile(fd, file, NULL, 1000) == 8, "/proc");
    file = open("/", O_RDONLY | O_DIRECTORY);
    expect(sendfile(fd, file, NULL, 1000) == -1, "a directory");
    file = open("/dev/null", O_WRONLY);
    expect(sendfile(fd, file, NULL, 1000) == -1 && errno == EBADF, "a file to write to");
    expect(sendfile(fd, 1 << 20, NULL, 1000) == -1 && errno == EBADF, "no file");
}

// A key near to the last of its records.
static int with_a_key_that_ends(int port) {
    struct keys keys = known_keys();
    int fd = dial(port);
    keys.seq[4] = 0, keys.seq[5] = 0xff, keys.seq[6] = 0xff, keys.seq[7] = 0xfe;
    expect(setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", 4) == 0, "TCP_ULP");
    expect(setsockopt(fd, SOL_TLS, TX, &keys, sizeof keys) == 0, "TLS_TX");
    return fd;
}

static void write_to_its_end(int fd) {
    int file = memfd_create("file", 0);
    off_t offset = 0;
    say(file, "file");
    say(fd, "last but one");
    say(fd, "the last");
    expect(write(fd, MARKER, LEN) == -1 && errno == EBADMSG, "no more records");
    expect(send(fd, MARKER, LEN, MSG_MORE) == -1 && errno == EBADMSG, "nor a part");
    expect(sendfile(fd, file, &offset, 4) == -1 && errno == EBADMSG && offset == 0, "nor a file");
    expect(send_record(fd, 21, "no", 2) == -1 && errno == EBADMSG, "nor an alert");
    struct keys keys = known_keys();
    keys.key[0]++;
    expect(setsockopt(fd, SOL_TLS, TX, &keys, sizeof keys) == 0, "the next keys");
}

// Threads that make connections, write, give them other numbers, and close what they find.
#define NUMBERS 40
static int chaos_port;
static volatile int chaos_is_over;

static void *make_chaos(void *start_with) {
    unsigned random = (uintptr_t)start_with;
    while (!chaos_is_over) {
        random = random * 1103515245 + 12345;
        int fd = 30 + (random >> 16) % NUMBERS, other = 30 + (random >> 8) % NUMBERS;
        char bytes[100];
        struct pollfd asked[2] = {{.fd = fd, .events = POLLIN}, {.fd = other, .events = POLLOUT}};
        switch ((random >> 24) % 10) {
        case 0: {
            int new = socket(AF_INET, SOCK_STREAM, 0);
            struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(chaos_port)};
            struct keys keys = known_keys();
            to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            if (new < 0 || connect(new, (struct sockaddr *)&to, sizeof to)) break;
            setsockopt(new, IPPROTO_TCP, TCP_ULP, "tls", 4);
            if (random & 1) setsockopt(new, SOL_TLS, RX, &keys, sizeof keys);
            setsockopt(new, SOL_TLS, TX, &keys, sizeof keys);
            dup2(new, fd);
            close(new);
            break;
        }
        case 1: close(fd); break;
        case 2: dup2(fd, other); break;
        case 3: close(dup(fd)); break;
        case 4: send(fd, "open", 4, MSG_MORE | MSG_NOSIGNAL | MSG_DONTWAIT); break;
        case 5: shutdown(fd, random % 3); break;
        case 6: recv(fd, bytes, random % sizeof bytes, MSG_DONTWAIT | (random & MSG_PEEK)); break;
        case 7: poll(asked, 2, 0); break;
        case 8: close_range(fd, fd + random % 3, 0); break;
        default: send(fd, "0123456789", 10, MSG_NOSIGNAL | MSG_DONTWAIT);
        }
    }
    return NULL;
}

// Processes that come by fork meanwhile find nothing that is half done.
static void *fork_meanwhile(void *none) {
    while (!chaos_is_over) {
        pid_t pid = fork();
        if (pid == 0) {
            char byte;
            alarm(10);
            for (int fd = 30; fd < 30 + NUMBERS; fd++) recv(fd, &byte, 1, MSG_DONTWAIT);
            _exit(0);
        }
        reap(pid);
    }
    return NULL;
}

static void chaos(int port) {
    pthread_t threads[4], forks;
    chaos_port = port;
    alarm(30);
    for (long i = 0; i < 4; i++) expect(pthread_create(&threads[i], NULL, make_chaos, (void *)(i + 1)) == 0, "a thread");
    expect(pthread_create(&forks, NULL, fork_meanwhile, NULL) == 0, "a thread");
    sleep(2);
    chaos_is_over = 1;
    pthread_join(forks, NULL);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    for (int fd = 30; fd < 30 + NUMBERS; fd++) close(fd);
    say_step("over");
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    int port = atoi(argv[1]);
    const char *attack = argv[2];
    if (!strcmp(attack, "chaos")) {
        chaos(port);
        return 0;
    }
    if (!strcmp(attack, "key-that-ends")) {
        int fd = with_a_key_that_ends(port);
        write_to_its_end(fd);
        return 0;
    }
    int fd = dial(port);
    expect(start(fd) == 0, "TLS_TX");
    say(fd, "first");
    if (!strcmp(attack, "bad-addresses")) bad_addresses_everywhere(fd);
    else if (!strcmp(attack, "fork-under-threads")) fork_under_threads(fd);
    else if (!strcmp(attack, "spawn")) spawn_with_actions(fd);
    else if (!strcmp(attack, "guest")) guest_in_this_memory(fd);
    else if (!strcmp(attack, "close-on-exec")) close_on_exec(fd);
    else if (!strcmp(attack, "pieces")) many_pieces(fd);
    else if (!strcmp(attack, "flags")) other_flags(fd);
    else if (!strcmp(attack, "waits")) all_kinds_of_waits(fd);
    else if (!strcmp(attack, "states")) signals_and_states(fd);
    else if (!strcmp(attack, "files")) other_files(fd);
    else if (!strcmp(attack, "half-closed")) {
        half_closed(fd);
        return 0;
    } else if (!strcmp(attack, "reset")) {
        reset_at_close(fd);
        return 0;
    } else return 2;
    say(fd, "last");
    return 0;
}
