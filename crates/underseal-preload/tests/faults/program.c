// What goes wrong around a program with TLS_TX: see tests.h. It tells its peer on stdout how far it is, and reads from
// stdin when it may go on.
#include "tests.h"

extern const struct test ends[], lingers[], waits[], shortages[], processes[], keys[], allocations[];

int main(int argc, char **argv) {
    const struct test *all[] = {ends, lingers, waits, shortages, processes, keys, allocations, NULL};
    return run_one_of(all, argc, argv);
}


