/* row_id.h - ids of the workloads that loads register: like chance, as a container's, and the same for the same number */
#ifndef REEVE_BENCH_ROW_ID_H
#define REEVE_BENCH_ROW_ID_H

#include <stdint.h>

/* Of workload nth of node number node; another seed, other ids. */
void row_id(uint8_t id[16], uint64_t seed, uint64_t node, uint64_t nth);

#endif
