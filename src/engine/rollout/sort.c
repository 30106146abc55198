/* sort.c - heapsort of cohorts: in place, no worst case, no libc. */
#include "engine/rollout/rollout_int.h"

static void sift(uint64_t *v, size_t root, size_t n)
{
    uint64_t x = v[root];
    for (size_t child; (child = 2 * root + 1) < n; root = child) {
        if (child + 1 < n && v[child + 1] > v[child])
            child++;
        if (v[child] <= x)
            break;
        v[root] = v[child];
    }
    v[root] = x;
}

void cohorts_sort(uint64_t *v, size_t n)
{
    for (size_t i = n / 2; i-- > 0;)
        sift(v, i, n);
    for (size_t end = n; end > 1; end--) {
        uint64_t top = v[0];
        v[0] = v[end - 1];
        v[end - 1] = top;
        sift(v, 0, end - 1);
    }
}
