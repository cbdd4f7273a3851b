// What a program of these tests does when it is started as `program PORT NAME [MORE]`: it connects, asks for a TLS
// socket, says "first" through it, does what has that name, and says "last".
#include "socket.h"

struct test {
    const char *name;
    // Connects and asks in a way of its own; -1 where that was all.
    int (*connect)(int port, const char *more);
    // Does it on the socket.
    void (*run)(int fd, const char *more);
    // Whether nothing is said behind it.
    int is_last;
};

static int dial_and_start(int port) {
    int fd = dial(port);
    expect(start(fd) == 0, "TLS_TX");
    return fd;
}

static void run(const struct test *test, int port, const char *more) {
    int fd = test->connect ? test->connect(port, more) : dial_and_start(port);
    if (fd < 0) return;
    say(fd, "first");
    if (test->run) test->run(fd, more);
    if (!test->is_last) say(fd, "last");
}

// Does what the arguments name; each list ends with a test that has no name.
static int run_one_of(const struct test *const *lists, int argc, char **argv) {
    if (argc < 3) return 2;
    for (; *lists; lists++) {
        for (const struct test *test = *lists; test->name; test++) {
            if (strcmp(test->name, argv[2])) continue;
            run(test, atoi(argv[1]), argv[3]);
            return 0;
        }
    }
    return 2;
}
