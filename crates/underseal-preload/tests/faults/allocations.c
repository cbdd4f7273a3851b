// Calls that signal handlers may make, also such as interrupt the allocator.
#include "tests.h"
#include <dlfcn.h>

extern void __libc_free(void *memory);

static int counts, frees, searches;

// The library asks for what comes behind it, which is the C library's.
void *dlsym(void *handle, const char *name) {
    static const char *const versions[] = {"GLIBC_2.34", "GLIBC_2.17", "GLIBC_2.2.5", NULL};
    static void *(*own)(void *, const char *);
    void *c_library = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    for (int i = 0; !own && versions[i]; i++) own = dlvsym(c_library, "dlsym", versions[i]);
    searches += counts;
    return own(handle == RTLD_NEXT ? c_library : handle, name);
}

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

// The C library's functions are known before one is called.
static void call_the_c_librarys(int fd, const char *more) {
    char byte = 'x';
    int ends[2];
    counts = 1;
    int made = pipe(ends), other = dup(ends[1]);
    ssize_t written = write(other, &byte, 1), got = read(ends[0], &byte, 1);
    int polled = poll(NULL, 0, 0), closed = close(other);
    counts = 0;
    expect(made == 0 && written == 1 && got == 1 && polled == 0 && closed == 0, "calls on a pipe");
    expect(searches == 0, "none is looked for");
}

const struct test allocations[] = {
    {"close-watched", .run = close_watched},
    {"c-library", .run = call_the_c_librarys},
    {0},
};
