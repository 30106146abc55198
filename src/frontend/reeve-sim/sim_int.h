/* sim_int.h - the subcommands of reeve-sim. */
#ifndef REEVE_SIM_INT_H
#define REEVE_SIM_INT_H

int raft_main(int argc, char **argv);
int attest_main(int argc, char **argv);
int latency_main(int argc, char **argv);
int linear_main(int argc, char **argv);

#endif
