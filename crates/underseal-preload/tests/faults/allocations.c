// Calls that signal handlers may make, also such as interrupt the allocator.
#include "tests.h"

extern void __libc_free(void *memory);

static int counts, frees;

void free(void *memory) {
    frees += counts;
    __libc_free(memory);
}

// A number that is no connection's is closed, which epoll instances watch.
static void close_watched(int fd, const char *more) {
    struct epoll_event event = {.events = EPOLLIN};
    int epolls[] = {epoll_create1(0), epoll_create1(0)};
    for (int count = 1; count <= 2; count++) {
        int ends[2];
        expect(pipe(ends) == 0, "a pipe");
        for (int i = 0; i < count; i++) {
            expect(epoll_ctl(epolls[i], EPOLL_CTL_ADD, ends[0], &event) == 0, "epoll_ctl");
        }
        counts = 1;
        int closed = close(ends[0]);
        counts = 0;
        expect(closed == 0 && frees == 0, "nothing is freed");
    }
}

const struct test allocations[] = {
    {"close-watched", .run = close_watched},
    {0},
};
