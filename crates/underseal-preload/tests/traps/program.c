// What programs do to a descriptor with TLS_TX: see tests.h. MARKER is what must not be seen.
#include "tests.h"

extern const struct test unseen[], numbers[], processes[], calls[], records[];

int main(int argc, char **argv) {
    return run_one_of((const struct test *[]){unseen, numbers, processes, calls, records, NULL}, argc, argv);
}


