// A system call that a thread stays in the midst of.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

static volatile sig_atomic_t is_in_the_call, may_go_on;

static void stay_in_the_call(int signal) {
    is_in_the_call = 1;
    while (!may_go_on) usleep(1000);
}

// From here on who makes that call of a number (of any, where that is -1), of this thread and those that it starts, stays
// in it until it may go on. The call is not made.
static void stop_at(int call, int number) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, number == -1 ? 0 : 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    struct sigaction action = {.sa_handler = stay_in_the_call};
    expect(sigaction(SIGSYS, &action, NULL) == 0, "sigaction");
    expect(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "PR_SET_NO_NEW_PRIVS");
    expect(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "seccomp");
}

static void wait_for_the_call(void) {
    while (!is_in_the_call) usleep(1000);
}
