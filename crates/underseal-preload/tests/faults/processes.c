// Processes that come by fork in a bad moment, and one that ends in any.
#include "tests.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

static volatile sig_atomic_t is_in_the_library, may_go_on;

static void stay_in_the_library(int signal) {
    is_in_the_library = 1;
    while (!may_go_on) {}
}

static void *start_it(void *fd) {
    return (void *)(start(*(int *)fd) == 0 ? 1L : -1L);
}

// A thread makes the list of connections, and holds its lock, while another forks; the child has connections too.
static int forked_under_the_list(int port, const char *other_port) {
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
