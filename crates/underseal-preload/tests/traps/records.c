// Records that are held, left open, or sealed at a full socket.
#include "tests.h"

// Sends a file behind a head, several times.
static void send_heads(int fd) {
    int file = memfd_create("file", 0);
    say(file, "file");
    for (int i = 0; i < 3; i++) {
        off_t offset = 0;
        say(fd, "head");
        expect(sendfile(fd, file, &offset, 4) == 4 && offset == 4, "sendfile");
    }
}

// Then a head alone, and goes on until its stdin ends.
static void heads(int fd, const char *more) {
    send_heads(fd);
    say(fd, "alone");
    tell_and_wait("waits");
}

// Opens records, and ends them in the ways that there are.
static void open_records(int fd, const char *more) {
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
static void open_records_at_a_full_socket(int fd, const char *more) {
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
static void short_records(int fd, const char *more) {
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
static void leave_open(int fd, const char *more) {
    say_more(fd, "open");
    tell_and_wait("waits");
}

static void open_one(int fd, const char *more) {
    say_more(fd, "open");
}

static void open_one_and_close(int fd, const char *more) {
    say_more(fd, "open");
    expect(close(fd) == 0, "close");
}

static void open_one_and_end(int fd, const char *more) {
    say_more(fd, "open");
    expect(shutdown(fd, SHUT_WR) == 0, "shutdown");
}

// Fills the socket, and says goodbye.
static void fill_and_say_goodbye(int fd) {
    fill(fd);
    alert(fd);
}

// Says goodbye at a full socket.
static void fill_a_small_one(int fd) {
    shorten(fd);
    fill_and_say_goodbye(fd);
}

// Closes it at once, and goes on until its stdin ends.
static void fill_and_close(int fd, const char *more) {
    fill_a_small_one(fd);
    expect(close(fd) == 0, "close");
    tell_and_wait("closed");
}

// Ends its direction at once, and waits for the other's end.
static void fill_and_end(int fd, const char *more) {
    char text[10];
    fill_a_small_one(fd);
    expect(shutdown(fd, SHUT_WR) == 0, "shutdown");
    say_step("closed");
    nonblocking(fd, 0);
    expect(read(fd, text, sizeof text) == 6, "an answer");
}

// Where heads are held, says more of a handshake behind the end of its direction, and wants no signal.
static void fill_and_end_and_go_on(int fd, const char *more) {
    signal(SIGPIPE, SIG_DFL);
    send_heads(fd);
    fill_a_small_one(fd);
    expect(shutdown(fd, SHUT_WR) == 0, "shutdown");
    ssize_t sent = send_record_with(fd, 22, (char[]){4, 0, 0, 0}, 4, MSG_NOSIGNAL);
    expect(sent == -1 && errno == EPIPE, "it is the end");
    tell_and_wait("ended");
}

// Says goodbye at a full socket, and waits for an answer in splice.
static void fill_and_splice(int fd, const char *more) {
    int pipe_ends[2];
    struct pollfd asked = {.fd = fd, .events = POLLOUT};
    expect(pipe(pipe_ends) == 0, "a pipe");
    fill_and_say_goodbye(fd);
    say_step("full");
    expect(poll(&asked, 1, -1) == 1, "there is room again");
    nonblocking(fd, 0);
    expect(splice(fd, NULL, pipe_ends[1], NULL, 100, 0) == 6, "an answer");
}

const struct test records[] = {
    {"heads", .run = heads, .is_last = 1},
    {"open-records", .run = open_records},
    {"full-and-open", .run = open_records_at_a_full_socket},
    {"short-records", .run = short_records},
    {"left-open", .run = leave_open, .is_last = 1},
    {"open-exit", .run = open_one, .is_last = 1},
    {"open-closed", .run = open_one_and_close, .is_last = 1},
    {"open-shut", .run = open_one_and_end, .is_last = 1},
    {"full-socket", .run = fill_and_close, .is_last = 1},
    {"shutdown", .run = fill_and_end, .is_last = 1},
    {"behind-the-end", .run = fill_and_end_and_go_on, .is_last = 1},
    {"answer", .run = fill_and_splice, .is_last = 1},
    {0},
};
