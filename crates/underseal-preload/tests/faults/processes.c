// Processes that come by fork in a bad moment, and one that ends in any.
#include "tests.h"
#include "trap.h"

static void *start_it(void *fd) {
    return (void *)(start(*(int *)fd) == 0 ? 1L : -1L);
}

// A thread makes the list of connections, and holds its lock, while another forks; the child has connections too.
static int forked_under_the_list(int port, const char *other_port) {
    int fd = dial(port), status;
    pthread_t starter;
    void *started;
    stop_at(SYS_memfd_create);
    expect(pthread_create(&starter, NULL, start_it, &fd) == 0, "a thread");
    wait_for_the_call();
    pid_t child = fork();
    if (child == 0) {
        alarm(10);
        int other = dial(atoi(other_port));
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
static void forked_under_a_head(int fd, const char *more) {
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
static void talk_for_ever(int fd, const char *more) {
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

const struct test processes[] = {
    {"forked-under-the-list", .connect = forked_under_the_list},
    {"forked-under-a-head", .run = forked_under_a_head},
    {"killed", .run = talk_for_ever},
    {0},
};
