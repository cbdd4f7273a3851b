// What programs do to a descriptor with TLS_TX. Usage: program PORT TRAP. It connects, asks for a TLS
// socket, says "first" through it, falls into the trap and says "last". MARKER is what must not be seen.
#include "socket.h"
#include <linux/io_uring.h>
#include <spawn.h>

#define MARKER "MARKER-of-plaintext"
#define LEN (sizeof MARKER - 1)

static char **environment;

static void reap(pid_t pid) {
    int status;
    if (waitpid(pid, &status, 0) != pid || status != 0) die("child");
}

static void ring_write(int fd) {
    struct io_uring_params p = {0};
    int ring = syscall(SYS_io_uring_setup, 4, &p);
    if (ring < 0) {
        fprintf(stderr, "no io_uring here: %d\n", errno);
        return;
    }
    size_t sq_len = p.sq_off.array + p.sq_entries * 4;
    char *sq = mmap(0, sq_len, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    size_t cq_len = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
    char *cq = mmap(0, cq_len, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
    struct io_uring_sqe *sqe = mmap(0, p.sq_entries * sizeof *sqe, PROT_READ | PROT_WRITE,
                                    MAP_SHARED, ring, IORING_OFF_SQES);
    if (sq == MAP_FAILED || cq == MAP_FAILED || sqe == MAP_FAILED) die("mmap");
    memset(sqe, 0, sizeof *sqe);
    sqe->opcode = IORING_OP_WRITE;
    sqe->fd = fd;
    sqe->addr = (uintptr_t)MARKER;
    sqe->len = LEN;
    *(unsigned *)(sq + p.sq_off.array) = 0;
    __atomic_store_n((unsigned *)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
    if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0) die("enter");
    struct io_uring_cqe *cqe = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
    expect(cqe->res < 0, "io_uring's write fails");
    close(ring);
}

static int through_rights(int fd) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) die("socketpair");
    char byte = 0, control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec iov = {&byte, 1};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    if (sendmsg(pair[0], &message, 0) != 1) return -1;
    memset(control, 0, sizeof control);
    if (recvmsg(pair[1], &message, 0) != 1) die("recvmsg");
    int other;
    memcpy(&other, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof other);
    return other;
}

static void *write_often(void *fd) {
    for (int i = 0; i < 500; i++) say(*(int *)fd, MARKER);
    return NULL;
}

// What a program could ask of its socket before goes on.
static void carried_over(int fd, int epoll, int peer_port) {
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
    expect(ntohs(name.sin_port) == peer_port, "the peer's port");
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

static void bad_addresses(int fd) {
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
static void refusals(int fd) {
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
}

// Sends a file behind a head, several times, then a head alone, and goes on until its stdin ends.
static void heads(int fd) {
    int file = memfd_create("file", 0);
    say(file, "file");
    for (int i = 0; i < 3; i++) {
        off_t offset = 0;
        say(fd, "head");
        expect(sendfile(fd, file, &offset, 4) == 4 && offset == 4, "sendfile");
    }
    say(fd, "alone");
    tell_and_wait("waits");
}

// Fills the socket, and says goodbye.
static void fill_and_say_goodbye(int fd) {
    fill(fd);
    alert(fd);
}

// Opens records, and ends them in the ways that there are.
static void open_records(int fd) {
    static char block[16384 + 1];
    char byte;
    int file = memfd_create("file", 0), pipe_ends[2];
    say(file, "file");
    say_more(fd, "one");
    say_more(fd, "two");
    expect(recv(fd, &byte, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN, "nobody answers");
    expect(send(fd, (char *)1, 5, MSG_MORE) == -1 && errno == EFAULT, "a bad address");
    say(fd, "three");
    say_more(fd, "before");
    alert(fd);
    expect(send(fd, "x", 1, MSG_MORE | MSG_EOR) == -1 && errno == EINVAL, "both");
    off_t offset = 0;
    say_more(fd, "head");
    expect(sendfile(fd, file, &offset, 4) == 4 && offset == 4, "sendfile");
    expect(pipe(pipe_ends) == 0 && write(pipe_ends[1], "pip", 3) == 3, "a pipe");
    expect(splice(pipe_ends[0], NULL, fd, NULL, 3, SPLICE_F_MORE) == 3, "splice");
    say(fd, "ed");
    say_more(fd, "parent");
    pid_t pid = fork();
    if (pid == 0) {
        expect(write(fd, MARKER, LEN) == -1 && errno == EBADFD, "the child cannot write");
        exit(0);
    }
    reap(pid);
    say(fd, "s");
    expect(send(fd, block, sizeof block, MSG_MORE) == sizeof block, "more than a record");
}

// Sends what more follows to a socket that is full again and again.
static void open_records_at_a_full_socket(int fd) {
    static char data[1 << 20];
    struct pollfd asked = {.fd = fd, .events = POLLOUT};
    for (size_t i = 0; i < sizeof data; i++) data[i] = 'a' + i % 23;
    shorten(fd);
    nonblocking(fd, 1);
    size_t size = 1, stalls = 0;
    for (size_t sent = 0; sent < sizeof data;) {
        size_t left = sizeof data - sent;
        if (size > left) size = left;
        ssize_t some = send(fd, data + sent, size, MSG_MORE);
        if (some < 0) {
            expect(errno == EAGAIN && poll(&asked, 1, -1) == 1, "there is room again");
            stalls++;
            continue;
        }
        expect(some > 0, "never nothing");
        // A peer that reads fast leaves it at a part.
        stalls += (size_t)some < size;
        sent += some;
        size = size * 7 % 40009 + 1;
    }
    expect(stalls > 0, "it was full");
    nonblocking(fd, 0);
}

// Has records cut to what a peer takes.
static void short_records(int fd) {
    uint16_t most = 100, found;
    uint32_t wide = 100;
    char data[250] = {0};
    socklen_t len = sizeof found;
    expect(getsockopt(fd, SOL_TLS, 5, &found, &len) == 0 && found == 16384, "no limit");
    len = sizeof wide;
    expect(getsockopt(fd, SOL_TLS, 5, &wide, &len) == -1 && errno == EINVAL, "a long option");
    expect(setsockopt(fd, SOL_TLS, 5, &wide, sizeof wide) == -1 && errno == EINVAL, "a long option");
    expect(setsockopt(fd, SOL_TLS, 5, NULL, sizeof most) == -1 && errno == EINVAL, "no option");
    expect(setsockopt(fd, SOL_TLS, 5, (char *)1, sizeof most) == -1 && errno == EFAULT, "EFAULT");
    for (most = 60; most < 63; most++) {
        int set = setsockopt(fd, SOL_TLS, 5, &most, sizeof most);
        expect(set == -1 && errno == EINVAL, "too short");
    }
    most = 100;
    say_more(fd, "open");
    expect(setsockopt(fd, SOL_TLS, 5, &most, sizeof most) == -1 && errno == EBUSY, "an open record");
    say(fd, "ed");
    expect(setsockopt(fd, SOL_TLS, 5, &most, sizeof most) == 0, "a limit");
    len = sizeof found;
    expect(getsockopt(fd, SOL_TLS, 5, &found, &len) == 0 && found == 100, "the limit");
    expect(write(fd, data, sizeof data) == sizeof data, "in three records");
}

// Leaves a record open, and goes on until its stdin ends.
static void leave_open(int fd) {
    say_more(fd, "open");
    tell_and_wait("waits");
}

// Says goodbye at a full socket.
static void fill_a_small_one(int fd) {
    shorten(fd);
    fill_and_say_goodbye(fd);
}

// Closes it at once, and goes on until its stdin ends.
static void fill_and_close(int fd) {
    fill_a_small_one(fd);
    expect(close(fd) == 0, "close");
    tell_and_wait("closed");
}

// Ends its direction at once, and waits for the other's end.
static void fill_and_end(int fd) {
    char text[10];
    fill_a_small_one(fd);
    expect(shutdown(fd, SHUT_WR) == 0, "shutdown");
    say_step("closed");
    nonblocking(fd, 0);
    expect(read(fd, text, sizeof text) == 6, "an answer");
}

// Says goodbye at a full socket, and waits for an answer in splice.
static void fill_and_splice(int fd) {
    int pipe_ends[2];
    struct pollfd asked = {.fd = fd, .events = POLLOUT};
    expect(pipe(pipe_ends) == 0, "a pipe");
    fill_and_say_goodbye(fd);
    say_step("full");
    expect(poll(&asked, 1, -1) == 1, "there is room again");
    nonblocking(fd, 0);
    expect(splice(fd, NULL, pipe_ends[1], NULL, 100, 0) == 6, "an answer");
}

// Calls that are to make this number another file's, and that fail: it stays what it is.
static void number_that_stays(int fd) {
    struct rlimit limit;
    expect(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    int past = limit.rlim_cur, epoll = epoll_create1(0);
    say_more(fd, "open");
    expect(dup2(past - 1, fd) == -1 && errno == EBADF, "dup2 of no file");
    expect(dup2(-1, fd) == -1 && errno == EBADF, "dup2 of no number");
    expect(dup3(past - 1, fd, 0) == -1 && errno == EBADF, "dup3 of no file");
    expect(dup3(epoll, fd, O_APPEND) == -1 && errno == EINVAL, "dup3 with another flag");
    expect(dup3(fd, fd, 0) == -1 && errno == EINVAL, "dup3 to itself");
    expect(dup2(fd, fd) == fd, "dup2 to itself");
    expect(dup2(fd, past) == -1 && errno == EBADF, "dup2 past the limit");
    expect(dup2(fd, -1) == -1 && errno == EBADF, "dup2 to no number");
    expect(fcntl(fd, F_DUPFD, past) == -1 && errno == EINVAL, "F_DUPFD past the limit");
    expect(fcntl(fd, F_DUPFD_CLOEXEC, past) == -1 && errno == EINVAL, "F_DUPFD past the limit");
    expect(close_range(3, ~0U, 0x40000000) == -1 && errno == EINVAL, "close_range with another flag");
    expect(close_range(3, ~0U, CLOSE_RANGE_UNSHARE) == -1 && errno == EINVAL, "numbers of one thread");
    say(fd, "ed");
    int other = dup(fd);
    struct rlimit low = {other + 1, limit.rlim_max};
    expect(setrlimit(RLIMIT_NOFILE, &low) == 0, "setrlimit");
    expect(dup2(fd, other) == -1 && errno == EMFILE, "a connection without another number for it");
    expect(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
    say(other, "other");
    expect(close(other) == 0, "close");
}

// A connection's number becomes another file's, and another connection's: what waits is sent before the end.
static void number_that_changes(int fd, int port) {
    int third = dup(fd), pipe_ends[2];
    char text[8] = {0};
    int other = dial(port);
    expect(start(other) == 0, "another connection");
    say(other, "other");
    say_more(other, "open");
    expect(dup2(fd, other) == other, "dup2 of a connection to another");
    say(other, "again");
    expect(pipe(pipe_ends) == 0, "a pipe");
    expect(dup3(pipe_ends[1], third, 0) == third, "dup3 of a pipe to a connection");
    say(third, "piped");
    expect(read(pipe_ends[0], text, sizeof text) == 5 && !strcmp(text, "piped"), "it is the pipe's");
}

// Writes the header of a message, and where its text is.
static void set_message(struct msghdr *header, struct iovec *text) {
    memset(header, 0, sizeof *header);
    header->msg_iov = text;
    header->msg_iovlen = 1;
}

// The second of two messages has its length where nobody can write.
static void over_the_edge(int fd) {
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
static void part_of_a_message(int fd) {
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

int main(int argc, char **argv, char **envp) {
    if (argc < 3) return 2;
    environment = envp;
    int port = atoi(argv[1]);
    const char *trap = argv[2];
    int fd = dial(port);
    if (!strcmp(trap, "dup-before")) {
        int other = dup(fd);
        expect(start(fd) == -1, "a file with two numbers is refused");
        close(other);
        return 0;
    }
    if (!strcmp(trap, "refusals")) {
        refusals(fd);
        return 0;
    }
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 77};
    if (!strcmp(trap, "one-shot")) {
        event.events |= EPOLLONESHOT;
        expect(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
        expect(start(fd) == -1, "what fires once may have fired");
        return 0;
    }
    if (!strcmp(trap, "carried-over") && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) die("ctl");
    if (start(fd)) die("TLS_TX");
    say(fd, "first");
    if (!strcmp(trap, "carried-over")) {
        carried_over(fd, epoll, port);
    } else if (!strcmp(trap, "bad-addresses")) {
        bad_addresses(fd);
    } else if (!strcmp(trap, "dprintf")) {
        expect(dprintf(fd, MARKER) < 0, "dprintf fails");
    } else if (!strcmp(trap, "fputs")) {
        FILE *file = fdopen(fd, "w");
        fputs(MARKER, file);
        expect(fflush(file) == EOF, "fflush fails");
    } else if (!strcmp(trap, "syscall")) {
        expect(syscall(SYS_write, fd, MARKER, LEN) == -1, "a raw write fails");
    } else if (!strcmp(trap, "io_uring")) {
        ring_write(fd);
    } else if (!strcmp(trap, "rights")) {
        int other = through_rights(fd);
        expect(other == -1 || write(other, MARKER, LEN) == -1, "a passed number is dead");
    } else if (!strcmp(trap, "dup")) {
        int other = dup(fd);
        expect(other >= 0 && write(other, "dup", 3) == 3, "dup");
        expect(dup2(fd, 100) == 100 && write(100, "dup2", 4) == 4, "dup2");
        expect(dup3(fd, 101, O_CLOEXEC) == 101 && write(101, "dup3", 4) == 4, "dup3");
        int more = fcntl(fd, F_DUPFD_CLOEXEC, 200);
        expect(more >= 200 && write(more, "dupfd", 5) == 5, "F_DUPFD");
        expect(close(fd) == 0 && close(100) == 0 && close(101) == 0 && close(more) == 0, "close");
        expect(write(other, "still", 5) == 5, "the last number goes on");
        fd = other;
    } else if (!strcmp(trap, "dup-fails")) {
        number_that_stays(fd);
    } else if (!strcmp(trap, "dup-to")) {
        number_that_changes(fd, atoi(argv[3]));
    } else if (!strcmp(trap, "exec")) {
        pid_t pid = fork();
        if (pid == 0) {
            dup2(fd, 1);
            execl("/bin/echo", "echo", MARKER, NULL);
            _exit(7);
        }
        waitpid(pid, NULL, 0);
    } else if (!strcmp(trap, "exec-self")) {
        expect(fcntl(fd, F_SETFD, 0) == 0 && dup2(fd, 1) == 1, "dup2");
        execl("/bin/echo", "echo", MARKER, NULL);
    } else if (!strcmp(trap, "posix_spawn")) {
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, fd, 1);
        char *arguments[] = {"echo", MARKER, NULL};
        pid_t pid;
        if (posix_spawn(&pid, "/bin/echo", &actions, NULL, arguments, environment)) die("spawn");
        waitpid(pid, NULL, 0);
    } else if (!strcmp(trap, "fork") || !strcmp(trap, "raw-fork")) {
        pid_t pid = trap[0] == 'f' ? fork() : (pid_t)syscall(SYS_fork);
        if (pid == 0) {
            expect(write(fd, MARKER, LEN) == -1 && errno == EBADFD, "the child cannot write");
            expect(close(fd) == 0, "the child can close");
            _exit(0);
        }
        reap(pid);
        say(fd, "parent");
    } else if (!strcmp(trap, "vfork")) {
        pid_t pid = vfork();
        if (pid == 0) {
            close(fd);
            dup2(epoll, 120);
            _exit(0);
        }
        reap(pid);
        say(fd, "parent");
    } else if (!strcmp(trap, "fclose")) {
        expect(fclose(fdopen(fd, "w")) == 0, "fclose");
        int other = dial(atoi(argv[3]));
        expect(other == fd, "the number comes again");
        say(other, MARKER);
        return 0;
    } else if (!strcmp(trap, "raw-close")) {
        syscall(SYS_close, fd);
        int other = dial(atoi(argv[3]));
        expect(other == fd, "the number comes again");
        say(other, MARKER);
        return 0;
    } else if (!strcmp(trap, "raw-close_range")) {
        expect(syscall(SYS_close_range, 1000, ~0U, 0) == 0, "numbers that it does not know");
        int other = dial(atoi(argv[3]));
        expect(start(other) == 0, "another connection");
        say(other, "other");
        expect(write(fd, MARKER, LEN) == -1 && errno == EBADF, "this one is gone");
        expect(close(fd) == 0, "close");
        say(other, "still");
        return 0;
    } else if (!strcmp(trap, "close_range") || !strcmp(trap, "closefrom") || !strcmp(trap, "loop")) {
        if (trap[0] == 'l') {
            for (int i = 3; i < 4000; i++) close(i);
        } else if (trap[5] == '_') {
            expect(close_range(3, ~0U, 0) == 0, "close_range");
        } else {
            closefrom(3);
        }
        expect(write(fd, MARKER, LEN) == -1 && errno == EBADF, "closed");
        int other = dial(atoi(argv[3]));
        say(other, MARKER);
        return 0;
    } else if (!strcmp(trap, "threads")) {
        pthread_t threads[4];
        for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, write_often, &fd);
        for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    } else if (!strcmp(trap, "open-records")) {
        open_records(fd);
    } else if (!strcmp(trap, "full-and-open")) {
        open_records_at_a_full_socket(fd);
    } else if (!strcmp(trap, "short-records")) {
        short_records(fd);
    } else if (!strcmp(trap, "left-open")) {
        leave_open(fd);
        return 0;
    } else if (!strncmp(trap, "open-", 5)) {
        say_more(fd, "open");
        if (!strcmp(trap, "open-closed")) expect(close(fd) == 0, "close");
        if (!strcmp(trap, "open-shut")) expect(shutdown(fd, SHUT_WR) == 0, "shutdown");
        return 0;
    } else if (!strcmp(trap, "heads")) {
        heads(fd);
        return 0;
    } else if (!strcmp(trap, "full-socket")) {
        fill_and_close(fd);
        return 0;
    } else if (!strcmp(trap, "shutdown")) {
        fill_and_end(fd);
        return 0;
    } else if (!strcmp(trap, "answer")) {
        fill_and_splice(fd);
        return 0;
    } else if (!strcmp(trap, "messages")) {
        over_the_edge(fd);
    } else if (!strcmp(trap, "part")) {
        part_of_a_message(fd);
    } else if (!strcmp(trap, "splice")) {
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
    } else if (strcmp(trap, "nothing")) {
        return 2;
    }
    say(fd, "last");
    return 0;
}
