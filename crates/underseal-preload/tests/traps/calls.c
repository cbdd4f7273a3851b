// Calls on a connection, with what they may be asked for and what they may not.
#include "tests.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

static int epoll;
static in_port_t peers_port;

static int watch(int port, const char *more) {
    int fd = dial(port);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 77};
    epoll = epoll_create1(0);
    peers_port = htons(port);
    expect(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
    expect(start(fd) == 0, "TLS_TX");
    return fd;
}

static int watch_once(int port, const char *more) {
    int fd = dial(port);
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT};
    expect(epoll_ctl(epoll_create1(0), EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
    expect(start(fd) == -1, "what fires once may have fired");
    return -1;
}

// An instance that watched the socket is gone: what the library finds out by that is not the program's to see.
static int granted_without_an_error(int port, const char *more) {
    int fd = dial(port), closed = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    struct keys keys = known_keys();
    expect(epoll_ctl(closed, EPOLL_CTL_ADD, fd, &event) == 0 && close(closed) == 0, "epoll_ctl");
    expect(setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", 4) == 0, "TCP_ULP");
    errno = 77;
    expect(setsockopt(fd, SOL_TLS, TX, &keys, sizeof keys) == 0 && errno == 77, "errno stays");
    return fd;
}

// What a program could ask of its socket before goes on.
static void carried_over(int fd, const char *more) {
    struct epoll_event event;
    expect(epoll_wait(epoll, &event, 1, 5000) == 1 && event.data.u64 == 77, "epoll tells of it");
    expect(event.events & EPOLLIN, "it is readable");
    event.events = EPOLLOUT;
    event.data.u64 = 78;
    expect(epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) == 0, "its events are changed");
    expect(epoll_wait(epoll, &event, 1, 5000) == 1 && event.data.u64 == 78, "epoll tells the new");
    expect(epoll_ctl(epoll, EPOLL_CTL_DEL, fd, &event) == 0, "it is watched no more");
    expect(epoll_wait(epoll, &event, 1, 10) == 0, "and nothing is told");
    struct pollfd asked = {.fd = fd, .events = POLLIN | POLLOUT};
    expect(poll(&asked, 1, 5000) == 1 && asked.revents == (POLLIN | POLLOUT), "poll");
    struct timespec second = {5, 0};
    expect(ppoll(&asked, 1, &second, NULL) == 1 && asked.revents & POLLIN, "ppoll");
    expect(asked.fd == fd, "the number stays");
    fd_set in, out;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(fd, &in);
    FD_SET(fd, &out);
    struct timeval five = {5, 0};
    expect(select(fd + 1, &in, &out, NULL, &five) == 2, "select");
    expect(FD_ISSET(fd, &in) && FD_ISSET(fd, &out), "select's sets");
    struct sockaddr_in name;
    socklen_t len = sizeof name;
    expect(getpeername(fd, (struct sockaddr *)&name, &len) == 0, "getpeername");
    expect(name.sin_port == peers_port, "the peer's port");
    int waiting = 0;
    expect(ioctl(fd, FIONREAD, &waiting) == 0 && waiting == 5, "FIONREAD");
    int type = 0;
    len = sizeof type;
    expect(getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &type, &len) == 0 && type == IPPROTO_TCP, "TCP");
    struct keys keys;
    len = sizeof keys;
    expect(getsockopt(fd, SOL_TLS, 1, &keys, &len) == 0 && keys.seq[7] == 1, "the next number");
    expect(fcntl(fd, F_SETFL, O_NONBLOCK) == 0 && fcntl(fd, F_GETFL) & O_NONBLOCK, "F_SETFL");
    char text[9] = {0};
    expect(recv(fd, text, sizeof text, 0) == 5 && strcmp(text, "hello") == 0, "recv");
    expect(recv(fd, text, sizeof text, 0) == -1 && errno == EAGAIN, "and then nothing");
    nonblocking(fd, 0);
}

static void bad_addresses(int fd, const char *more) {
    char *no = (char *)1;
    struct keys keys = {.version = 0x0304, .cipher = 51};
    struct iovec iov = {no, 10};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    expect(write(fd, no, 10) == -1 && errno == EFAULT, "write");
    expect(send(fd, no, 100000, 0) == -1 && errno == EFAULT, "send");
    expect(write(fd, (char *)-4096, 4000) == -1 && errno == EFAULT, "write at the end");
    expect(writev(fd, &iov, 1) == -1 && errno == EFAULT, "writev");
    expect(writev(fd, (struct iovec *)no, 1) == -1 && errno == EFAULT, "writev's pieces");
    expect(writev(fd, &iov, -1) == -1 && errno == EINVAL, "writev's count");
    expect(writev(fd, &iov, 2000) == -1 && errno == EINVAL, "writev's count");
    expect(sendmsg(fd, (struct msghdr *)no, 0) == -1 && errno == EFAULT, "sendmsg");
    message.msg_control = no;
    message.msg_controllen = 24;
    expect(sendmsg(fd, &message, 0) == -1 && errno == EFAULT, "sendmsg's control");
    expect(setsockopt(fd, SOL_TLS, 1, no, sizeof keys) == -1 && errno == EFAULT, "TLS_TX");
    expect(setsockopt(fd, SOL_TLS, 1, &keys, 3) == -1 && errno == EINVAL, "TLS_TX's length");
    expect(setsockopt(fd, SOL_TLS, 1, &keys, 41) == -1 && errno == EINVAL, "TLS_TX's length");
    socklen_t len = 40;
    expect(getsockopt(fd, SOL_TLS, 1, no, &len) == -1 && errno == EFAULT, "get TLS_TX");
    expect(getsockopt(fd, SOL_TLS, 1, &keys, (socklen_t *)no) == -1 && errno == EFAULT, "its length");
    expect(recv(fd, no, 10, MSG_DONTWAIT) == -1, "recv");
    expect(poll((struct pollfd *)no, 1, 0) == -1 && errno == EFAULT, "poll");
    expect(send(fd, "x", 1, MSG_OOB) == -1 && errno == EOPNOTSUPP, "MSG_OOB");
    expect(write(fd, NULL, 0) == 0, "nothing");
    // What is readable up to a page that is not is sent up to there or not at all, never a crash.
    char *page = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || mprotect(page + 4096, 4096, PROT_NONE)) die("mmap");
    expect(write(fd, page + 4000, 200) == -1 && errno == EFAULT, "write over the edge");
    int file = memfd_create("file", 0);
    say(file, "file");
    expect(sendfile(fd, file, (off_t *)no, 4) == -1 && errno == EFAULT, "sendfile's offset");
    expect(sendfile(fd, -1, NULL, 4) == -1, "sendfile's file");
    off_t offset = -1;
    expect(sendfile(fd, file, &offset, 4) == -1 && errno == EINVAL, "a negative offset");
    offset = 4;
    expect(sendfile(fd, file, &offset, 4) == 0 && offset == 4, "sendfile at the end");
    expect(lseek(file, 1, SEEK_SET) == 1 && sendfile(fd, file, NULL, 2) == 2, "sendfile's position");
    expect(lseek(file, 0, SEEK_CUR) == 3, "it moves");
    offset = 3;
    expect(sendfile(fd, file, &offset, 1000) == 1 && offset == 4, "sendfile to the end");
}

// What is refused, with the kernel's errors; the connection is the program's own as before.
static int refusals(int port, const char *more) {
    int fd = dial(port);
    int unconnected = socket(AF_INET, SOCK_STREAM, 0);
    struct keys keys = {.version = 0x0304, .cipher = 51};
    int ulp = setsockopt(unconnected, IPPROTO_TCP, TCP_ULP, "tls", 4);
    expect(ulp == -1 && errno == ENOTCONN, "TCP_ULP before connect");
    int tx = setsockopt(fd, SOL_TLS, 1, &keys, sizeof keys);
    expect(tx == -1 && errno == ENOPROTOOPT, "TLS_TX without TCP_ULP");
    expect(setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", 4) == 0, "TCP_ULP");
    ulp = setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", 4);
    expect(ulp == -1 && errno == EEXIST, "TCP_ULP again");
    ulp = setsockopt(fd, IPPROTO_TCP, TCP_ULP, "no such", 8);
    expect(ulp == -1 && errno == ENOENT, "another TCP_ULP");
    for (int cipher = 0; cipher < 70; cipher++) {
        keys.cipher = cipher;
        if (cipher == 51) continue;
        tx = setsockopt(fd, SOL_TLS, 1, &keys, sizeof keys);
        expect(tx == -1 && errno == EINVAL, "a cipher that has other keys");
    }
    keys.cipher = 51;
    keys.version = 0x0302;
    expect(setsockopt(fd, SOL_TLS, 1, &keys, sizeof keys) == -1 && errno == EINVAL, "TLS 1.1");
    keys.version = 0x0304;
    expect(setsockopt(fd, SOL_TLS, 1, NULL, sizeof keys) == -1 && errno == EINVAL, "no keys");
    expect(setsockopt(fd, SOL_TLS, 2, &keys, sizeof keys) == -1 && errno == ENOPROTOOPT, "TLS_RX");
    struct rlimit limit = {12, 12}, before;
    expect(getrlimit(RLIMIT_NOFILE, &before) == 0, "getrlimit");
    limit.rlim_max = before.rlim_max;
    expect(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
    int filler;
    while ((filler = dup(2)) >= 0) {}
    tx = setsockopt(fd, SOL_TLS, 1, &keys, sizeof keys);
    expect(tx == -1 && errno == EMFILE, "without a number for it");
    say(fd, "in the program's own words");
    return -1;
}

// Writes the header of a message, and where its text is.
static void set_message(struct msghdr *header, struct iovec *text) {
    memset(header, 0, sizeof *header);
    header->msg_iov = text;
    header->msg_iovlen = 1;
}

// The second of two messages has its length where nobody can write.
static void over_the_edge(int fd, const char *more) {
    char *page = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || mprotect(page + 4096, 4096, PROT_NONE)) die("mmap");
    struct mmsghdr *second = (struct mmsghdr *)(page + 4096 - sizeof second->msg_hdr);
    struct mmsghdr *first = second - 1;
    struct iovec one = {"one", 3}, two = {"two", 3};
    set_message(&first->msg_hdr, &one);
    set_message(&second->msg_hdr, &two);
    expect(sendmmsg(fd, first, 2, 0) == 1 && first->msg_len == 3, "the first counts");
    expect(sendmmsg(fd, second, 1, 0) == -1 && errno == EFAULT, "there is no place for its length");
}

// Has an alert behind more data than the socket takes.
static void part_of_a_message(int fd, const char *more) {
    static char much[8 << 20];
    struct mmsghdr messages[2];
    struct iovec data = {much, sizeof much}, alert = {(char[]){1, 0}, 2};
    char control[CMSG_SPACE(1)] = {0};
    set_message(&messages[0].msg_hdr, &data);
    set_message(&messages[1].msg_hdr, &alert);
    messages[1].msg_hdr.msg_control = control;
    messages[1].msg_hdr.msg_controllen = sizeof control;
    struct cmsghdr *header = CMSG_FIRSTHDR(&messages[1].msg_hdr);
    header->cmsg_level = SOL_TLS;
    header->cmsg_type = 1;
    header->cmsg_len = CMSG_LEN(1);
    *CMSG_DATA(header) = 21;
    nonblocking(fd, 1);
    expect(sendmmsg(fd, messages, 2, 0) == 1, "nothing goes behind a part");
    size_t sent = messages[0].msg_len;
    expect(sent < sizeof much, "it is a part");
    say_step("part");
    nonblocking(fd, 0);
    expect(write(fd, much + sent, sizeof much - sent) == (ssize_t)(sizeof much - sent), "the rest");
}

static void splice_pipes(int fd, const char *more) {
    int pipe_ends[2];
    expect(pipe(pipe_ends) == 0 && write(pipe_ends[1], "piped", 5) == 5, "a pipe");
    expect(splice(pipe_ends[0], NULL, fd, NULL, 100, 0) == 5, "splice");
    expect(splice(pipe_ends[0], NULL, fd, NULL, 100, SPLICE_F_NONBLOCK) == -1 && errno == EAGAIN,
           "an empty pipe");
    expect(write(pipe_ends[1], "more", 4) == 4 && close(pipe_ends[1]) == 0, "a pipe");
    expect(splice(pipe_ends[0], NULL, fd, NULL, 3, 0) == 3, "a part of it");
    expect(splice(pipe_ends[0], NULL, fd, NULL, 100, 0) == 1, "the rest");
    expect(splice(pipe_ends[0], NULL, fd, NULL, 100, 0) == 0, "the end");
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    expect(connect(fd, &none, sizeof none) == -1 && errno == EOPNOTSUPP, "it stays connected");
}

// From here on the kernel answers so to who asks for TLS, and takes keys.
static void have_the_kernel_say(int answer) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setsockopt, 0, 5),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SOL_TLS, 4, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 2),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TCP_ULP, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | answer),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    expect(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "PR_SET_NO_NEW_PRIVS");
    expect(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "seccomp");
}

// Says whose socket it is with TLS: the kernel's is still at the program's number.
static int ask_a_kernel(int port, const char *answer) {
    struct sockaddr_storage name;
    socklen_t len = sizeof name;
    int fd = dial(port);
    have_the_kernel_say(atoi(answer));
    expect(start(fd) == 0, "TLS_TX");
    expect(syscall(SYS_getsockname, fd, &name, &len) == 0, "getsockname");
    puts(name.ss_family == AF_INET ? "the kernel's" : "the library's");
    return -1;
}

const struct test calls[] = {
    {"whose", .connect = ask_a_kernel},
    {"nothing"},
    {"carried-over", watch, carried_over},
    {"errno", .connect = granted_without_an_error},
    {"one-shot", .connect = watch_once},
    {"bad-addresses", .run = bad_addresses},
    {"refusals", .connect = refusals},
    {"messages", .run = over_the_edge},
    {"part", .run = part_of_a_message},
    {"splice", .run = splice_pipes},
    {0},
};
