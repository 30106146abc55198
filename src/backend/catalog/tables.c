/* tables.c - the one list of relations. */
#include "cat_int.h"

#define EACH_RELATION(R) \
    R(sys_approval_policies) R(sys_approvals) R(sys_approvers) R(sys_authorities) R(sys_cert_generations) R(sys_certs) R(sys_chain) R(sys_config) R(sys_extensions) \
    R(sys_grants) R(sys_history) R(sys_issues) R(sys_join_tokens) R(sys_keywords) R(sys_leases) R(sys_nodes) R(sys_proposals) R(sys_regions) \
    R(sys_relations) R(sys_ring_members) R(sys_roles) R(sys_rollout_events) R(sys_rollout_nodes) R(sys_rollout_regions) \
    R(sys_rollout_waves) R(sys_rollouts) R(sys_services) R(sys_sessions) R(sys_settings) R(sys_stat_activity) \
    R(sys_statement_help) R(sys_strategies) R(sys_validators) R(sys_windows) R(sys_workloads) \
    R(pg_attribute) R(pg_class) R(pg_database) R(pg_extension) R(pg_namespace) R(pg_roles) R(pg_settings) \
    R(pg_stat_activity) R(pg_type)

#define DECLARE(t) extern const struct vtable t;
EACH_RELATION(DECLARE)
#undef DECLARE

const struct vtable *const catalog_tables[] = {
#define LIST(t) &t,
    EACH_RELATION(LIST)
#undef LIST
    NULL
};
const int catalog_ntables = sizeof catalog_tables / sizeof catalog_tables[0] - 1;
