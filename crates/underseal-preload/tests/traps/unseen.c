// Writes that do not come through the library.
#include "tests.h"
#include <linux/io_uring.h>

static void print_to_it(int fd, const char *more) {
    expect(dprintf(fd, MARKER) < 0, "dprintf fails");
}

static void put_to_a_file(int fd, const char *more) {
    FILE *file = fdopen(fd, "w");
    fputs(MARKER, file);
    expect(fflush(file) == EOF, "fflush fails");
}

static void raw_write(int fd, const char *more) {
    expect(syscall(SYS_write, fd, MARKER, LEN) == -1, "a raw write fails");
}

// Has io_uring write. Returns what it says of that.
static int ring_write(int fd, const char *text) {
    struct io_uring_params p = {0};
    int ring = syscall(SYS_io_uring_setup, 4, &p);
    expect(ring >= 0, "io_uring is there, or this test shows nothing: see kernel.io_uring_disabled");
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
    sqe->addr = (uintptr_t)text;
    sqe->len = strlen(text);
    *(unsigned *)(sq + p.sq_off.array) = 0;
    __atomic_store_n((unsigned *)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
    if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0) die("enter");
    int done = ((struct io_uring_cqe *)(cq + p.cq_off.cqes))->res;
    close(ring);
    return done;
}

// The same write is on the wire before the socket is one of TLS: that it fails behind it is the library's doing.
static int write_by_a_ring(int port, const char *more) {
    int fd = dial(port);
    expect(ring_write(fd, "by io_uring") == 11, "io_uring writes to this socket");
    expect(start(fd) == 0, "TLS_TX");
    return fd;
}

static void write_by_a_ring_again(int fd, const char *more) {
    expect(ring_write(fd, MARKER) < 0, "io_uring's write fails");
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

static void pass_it_on(int fd, const char *more) {
    int other = through_rights(fd);
    expect(other == -1 || write(other, MARKER, LEN) == -1, "a passed number is dead");
}

const struct test unseen[] = {
    {"dprintf", .run = print_to_it},
    {"fputs", .run = put_to_a_file},
    {"syscall", .run = raw_write},
    {"io_uring", write_by_a_ring, write_by_a_ring_again},
    {"rights", .run = pass_it_on},
    {0},
};
