// Other processes and threads with a connection.
#include "tests.h"
#include <spawn.h>

static void execute(int fd, const char *more) {
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fd, 1);
        execl("/bin/echo", "echo", MARKER, NULL);
        _exit(7);
    }
    waitpid(pid, NULL, 0);
}

static void become_another_program(int fd, const char *more) {
    expect(fcntl(fd, F_SETFD, 0) == 0 && dup2(fd, 1) == 1, "dup2");
    execl("/bin/echo", "echo", MARKER, NULL);
}

// Starts again as a program of inetd's does, with a socket at two numbers.
static int start_with_two_numbers(int port, const char *more) {
    char number[16];
    int fd = dial(port);
    expect(dup(fd) >= 0 && sprintf(number, "%d", fd) > 0, "dup");
    execl("/proc/self/exe", "program", "0", "inherited", number, NULL);
    return -1;
}

static int ask_for_what_is_inherited(int port, const char *fd) {
    expect(start(atoi(fd)) == -1 && errno == EOPNOTSUPP, "a file with two numbers is refused");
    return -1;
}

static void spawn(int fd, const char *more) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fd, 1);
    char *arguments[] = {"echo", MARKER, NULL};
    pid_t pid;
    if (posix_spawn(&pid, "/bin/echo", &actions, NULL, arguments, environ)) die("spawn");
    waitpid(pid, NULL, 0);
}

// The child has nothing to write with, and closes its number.
static void is_the_parents(int fd, pid_t pid) {
    if (pid == 0) {
        expect(write(fd, MARKER, LEN) == -1 && errno == EBADFD, "the child cannot write");
        expect(close(fd) == 0, "the child can close");
        _exit(0);
    }
    reap(pid);
    say(fd, "parent");
}

static void fork_it(int fd, const char *more) {
    is_the_parents(fd, fork());
}

static void fork_unseen(int fd, const char *more) {
    is_the_parents(fd, syscall(SYS_fork));
}

// The child puts a file of its own at the number of the TCP socket before the library sees it: it is not closed.
static void fork_unseen_and_take_its_number(int fd, const char *more) {
    int hidden = hidden_number(), pipe_ends[2];
    expect(pipe(pipe_ends) == 0, "a pipe");
    pid_t pid = syscall(SYS_fork);
    if (pid == 0) {
        expect(syscall(SYS_dup3, pipe_ends[1], hidden, 0) == hidden, "dup3");
        expect(write(fd, MARKER, LEN) == -1 && errno == EBADFD, "the child cannot write");
        expect(syscall(SYS_write, hidden, "x", 1) == 1, "the file is there");
        _exit(0);
    }
    reap(pid);
    say(fd, "parent");
}

// The first call of a child that the library sees gives a socket of its own another number.
static void fork_unseen_and_duplicate(int fd, const char *port) {
    pid_t pid = syscall(SYS_fork);
    if (pid == 0) {
        int other = dial(atoi(port));
        expect(dup2(other, 100) == 100, "dup2");
        expect(start(other) == -1 && errno == EOPNOTSUPP, "a file with two numbers is refused");
        _exit(0);
    }
    reap(pid);
    say(fd, "parent");
}

static void fork_in_this_memory(int fd, const char *more) {
    int epoll = epoll_create1(0);
    pid_t pid = vfork();
    if (pid == 0) {
        close(fd);
        dup2(epoll, 120);
        _exit(0);
    }
    reap(pid);
    say(fd, "parent");
}

// What a child makes that borrows this memory is not this process' to know.
static void duplicate_in_this_memory(int fd, const char *more) {
    int hidden = hidden_number();
    pid_t pid = vfork();
    if (pid == 0) {
        dup(fd);
        fcntl(fd, F_DUPFD, 0);
        _exit(0);
    }
    reap(pid);
    for (int number = hidden; number < hidden + 8; number++) {
        int is_free = syscall(SYS_fcntl, number, F_GETFD) == -1;
        expect(!is_free || dup2(0, number) == number, "the number is this process'");
    }
}

static void *write_often(void *fd) {
    for (int i = 0; i < 500; i++) say(*(int *)fd, MARKER);
    return NULL;
}

static void write_by_threads(int fd, const char *more) {
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, write_often, &fd);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
}

const struct test processes[] = {
    {"exec", .run = execute},
    {"exec-self", .run = become_another_program},
    {"inherit", .connect = start_with_two_numbers},
    {"inherited", .connect = ask_for_what_is_inherited},
    {"posix_spawn", .run = spawn},
    {"fork", .run = fork_it},
    {"raw-fork", .run = fork_unseen},
    {"raw-fork-file", .run = fork_unseen_and_take_its_number},
    {"raw-fork-dup", .run = fork_unseen_and_duplicate},
    {"vfork", .run = fork_in_this_memory},
    {"vfork-dup", .run = duplicate_in_this_memory},
    {"threads", .run = write_by_threads},
    {0},
};
