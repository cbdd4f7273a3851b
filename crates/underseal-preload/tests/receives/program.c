// A program with TLS_RX. Usage: program PORT. It connects, asks for TLS_RX, and says on stdout which step it has
// done, so that its peer sends what the next one needs.
#include "socket.h"

#define NO_PAD 4

// Keys of AES-128-GCM or AES-256-GCM: version and cipher, IV, key, salt, record number.
static int set_keys(int fd, int direction, uint16_t cipher, int byte) {
    uint8_t keys[56] = {0x04, 0x03};
    size_t key_len = cipher == 51 ? 16 : 32;
    memcpy(keys + 2, &cipher, sizeof cipher);
    memset(keys + 12, byte, key_len);
    return setsockopt(fd, SOL_TLS, direction, keys, 24 + key_len);
}

// How many of epoll, poll and select say that the socket is readable.
static int readable(int fd, int epoll) {
    struct epoll_event event;
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    struct timeval now = {0};
    return epoll_wait(epoll, &event, 1, 0) + poll(&entry, 1, 0) +
           select(fd + 1, &set, NULL, NULL, &now);
}

static void wait_for(int epoll) {
    struct epoll_event event;
    expect(epoll_wait(epoll, &event, 1, 10000) == 1, "something comes");
}

// recvmsg(2), with the type of the record.
static ssize_t receive(int fd, void *buffer, size_t len, int *type, int *flags) {
    char control[CMSG_SPACE(1)];
    struct iovec iov = {buffer, len};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
                             .msg_controllen = sizeof control};
    ssize_t received = recvmsg(fd, &message, 0);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *type = header ? *CMSG_DATA(header) : -1;
    *flags = message.msg_flags;
    return received;
}

static void bytes_of_a_record(int fd, int epoll) {
    char byte;
    wait_for(epoll);
    expect(read(fd, &byte, 1) == -1 && errno == EAGAIN, "a part of a record is nothing to read");
    expect(readable(fd, epoll) == 0, "and nothing to be told of again");
    say_step("part");
    wait_for(epoll);
    const char *text = "firstsecond";
    for (; *text; text++) {
        expect(readable(fd, epoll) == 3, "what is left is readable");
        expect(read(fd, &byte, 1) == 1 && byte == *text, "each byte comes");
    }
    expect(readable(fd, epoll) == 0, "nothing is left");
    expect(read(fd, &byte, 1) == -1 && errno == EAGAIN, "nothing is left");
}

static void other_types(int fd, int epoll) {
    char buffer[100];
    int type, flags;
    say_step("bytes");
    wait_for(epoll);
    expect(read(fd, buffer, sizeof buffer) == -1 && errno == EIO, "a read is for data");
    expect(readable(fd, epoll) == 3, "the record stays");
    expect(receive(fd, buffer, sizeof buffer, &type, &flags) == 2 && type == 21, "an alert");
    expect(flags & MSG_EOR, "all of it");
    say_step("alert");
    wait_for(epoll);
    expect(receive(fd, NULL, 5, &type, &flags) == -1 && errno == EFAULT, "a bad address");
    expect(receive(fd, buffer, 4, &type, &flags) == 4 && type == 23, "data");
    expect(!(flags & MSG_EOR), "there is more");
    struct iovec halves[2] = {{buffer + 4, 1}, {buffer + 5, 90}};
    expect(readv(fd, halves, 2) == 3 && !memcmp(buffer, "afterit", 7), "the rest");
    say_step("types");
}

static void several_messages(int fd, int epoll) {
    char buffer[100];
    char *page = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    expect(page != MAP_FAILED && mprotect(page + 4096, 4096, PROT_NONE) == 0, "mmap");
    // The length of the second is where nobody can write.
    struct mmsghdr *second = (struct mmsghdr *)(page + 4096 - sizeof second->msg_hdr);
    struct mmsghdr *first = second - 1;
    struct iovec one = {buffer, 3}, two = {buffer + 3, 3};
    first->msg_hdr = (struct msghdr){.msg_iov = &one, .msg_iovlen = 1};
    second->msg_hdr = (struct msghdr){.msg_iov = &two, .msg_iovlen = 1};
    wait_for(epoll);
    expect(recvmmsg(fd, first, 2, 0, NULL) == 1 && first->msg_len == 3, "the first counts");
    expect(!memcmp(buffer, "one", 3), "it came");
    expect(recvfrom(fd, buffer, 5, 0, NULL, (socklen_t *)1) == 5, "nobody asks for an address");
    expect(!memcmp(buffer, "three", 5), "what follows");
    say_step("several");
}

static void *read_text(void *fd) {
    char text[10];
    expect(read(*(int *)fd, text, sizeof text) == 4 && !memcmp(text, "text", 4), "a text");
    return NULL;
}

// One thread waits for data while another sets keys to send with, twice, and an option.
static void keys_beside_a_reader(int fd) {
    pthread_t reader;
    expect(pthread_create(&reader, NULL, read_text, &fd) == 0, "a thread");
    usleep(100000);
    expect(set_keys(fd, TX, 51, 7) == 0, "TLS_TX");
    expect(set_keys(fd, TX, 51, 8) == 0, "new keys");
    int yes = 1;
    expect(setsockopt(fd, SOL_TLS, NO_PAD, &yes, sizeof yes) == 0, "TLS_RX_EXPECT_NO_PAD");
    say_step("set");
    expect(pthread_join(reader, NULL) == 0, "the reader is done");
}

// A full record goes to a pipe where the user has so many pipes that new ones are small.
static void splice_by_small_pipes(int fd) {
    int sink[2], filler[2];
    expect(pipe(sink) == 0, "a pipe");
    if (getuid() == 0) expect(setuid(64123) == 0, "setuid");
    do {
        expect(pipe(filler) == 0, "a pipe");
        fcntl(filler[0], F_SETPIPE_SZ, 1 << 20);
    } while (fcntl(filler[0], F_GETPIPE_SZ) >= 16384);
    say_step("small");
    char buffer[16384];
    size_t spliced = 0;
    while (spliced < sizeof buffer) {
        ssize_t some = splice(fd, NULL, sink[1], NULL, sizeof buffer, 0);
        expect(some > 0, "splice");
        spliced += some;
    }
    for (size_t got = 0; got < sizeof buffer;) {
        ssize_t some = read(sink[0], buffer, sizeof buffer - got);
        expect(some > 0, "the pipe has it");
        for (ssize_t i = 0; i < some; i++) expect(buffer[i] == (char)(got + i), "each byte comes");
        got += some;
    }
}

static void *poll_for_data(void *fd) {
    struct pollfd entry = {.fd = *(int *)fd, .events = POLLIN};
    expect(poll(&entry, 1, -1) == 1 && entry.revents == POLLIN, "it is readable");
    return NULL;
}

static void *select_for_data(void *fd) {
    fd_set set;
    FD_ZERO(&set);
    FD_SET(*(int *)fd, &set);
    expect(select(*(int *)fd + 1, &set, NULL, NULL, NULL) == 1, "it is readable");
    return NULL;
}

// Waits for a record that comes in two parts: a reader that was told of it does not block.
static void wait_for_parts(int fd, void *(*wait)(void *)) {
    pthread_t waiting;
    char text[10];
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    struct pollfd both = {.fd = fd, .events = POLLIN | POLLOUT};
    struct timespec none = {0}, some = {0, 1000000};
    expect(poll(&entry, 1, 0) == 0, "nothing is there");
    say_step("nothing");
    expect(ppoll(&entry, 1, &none, NULL) == 0 && ppoll(&entry, 1, &some, NULL) == 0, "ppoll");
    expect(poll(&both, 1, -1) == 1 && both.revents == POLLOUT, "it is writable");
    expect(pthread_create(&waiting, NULL, wait, &fd) == 0, "a thread");
    say_step("waits");
    expect(pthread_join(waiting, NULL) == 0, "it was told");
    expect(recv(fd, text, sizeof text, MSG_DONTWAIT) == 4 && !memcmp(text, "text", 4), "a text");
}

static void new_keys(int fd, int epoll) {
    char buffer[100];
    int type, flags;
    wait_for(epoll);
    expect(receive(fd, buffer, sizeof buffer, &type, &flags) == 5 && type == 22, "a KeyUpdate");
    expect(read(fd, buffer, 1) == -1 && errno == EKEYEXPIRED, "nothing before the new keys");
    expect(set_keys(fd, RX, 52, 8) == -1 && errno == EINVAL, "keys of another kind");
    expect(set_keys(fd, RX, 51, 8) == 0, "new keys");
    expect(read(fd, buffer, sizeof buffer) == 7 && !memcmp(buffer, "updated", 7), "what follows");
}

static void one_owner(int fd) {
    pid_t pid = fork();
    if (pid == 0) {
        char byte;
        expect(read(fd, &byte, 1) == -1 && errno == EBADFD, "the child cannot read");
        expect(write(fd, "child", 5) == -1 && errno == EBADFD, "the child cannot write");
        _exit(0);
    }
    int status;
    expect(waitpid(pid, &status, 0) == pid && status == 0, "the child is done");
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    int fd = dial(atoi(argv[1]));
    expect(setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", 4) == 0, "TCP_ULP");
    if (argc > 2 && strcmp(argv[2], "refused")) {
        expect(set_keys(fd, RX, 51, 7) == 0, "TLS_RX");
        if (argv[2][0] == 'k') keys_beside_a_reader(fd);
        else if (!strcmp(argv[2], "poll")) wait_for_parts(fd, poll_for_data);
        else if (!strcmp(argv[2], "select")) wait_for_parts(fd, select_for_data);
        else splice_by_small_pipes(fd);
        return 0;
    }
    if (argc > 2) {
        expect(set_keys(fd, RX, 51, 7) == -1 && errno == ENOPROTOOPT, "it is refused");
        expect(set_keys(fd, TX, 51, 7) == 0, "TLS_TX");
        expect(set_keys(fd, RX, 51, 7) == -1 && errno == ENOPROTOOPT, "it is refused still");
        return 0;
    }
    expect(set_keys(fd, RX, 51, 7) == 0, "TLS_RX");
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    expect(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
    expect(fcntl(fd, F_SETFL, O_NONBLOCK) == 0, "O_NONBLOCK");
    expect(write(fd, "plain", 5) == 5, "one direction alone is TLS");
    expect(set_keys(fd, TX, 52, 7) == -1 && errno == EINVAL, "both directions are of one kind");
    expect(set_keys(fd, TX, 51, 7) == 0, "TLS_TX");
    expect(write(fd, "sealed", 6) == 6, "the other is from now on");
    say_step("ready");
    bytes_of_a_record(fd, epoll);
    other_types(fd, epoll);
    several_messages(fd, epoll);
    new_keys(fd, epoll);
    one_owner(fd);
    say_step("all");
    char byte;
    wait_for(epoll);
    expect(read(fd, &byte, 1) == 0, "the end");
    return 0;
}
