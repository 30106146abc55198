/* install_int.h - between the files of the installer. */
#ifndef REEVE_LIBREEVE_INSTALL_INT_H
#define REEVE_LIBREEVE_INSTALL_INT_H

#include "frontend/libreeve/install.h"

struct slice der_first(struct slice ders);

/* Tells the service by command or signal; false with res filled (RELOAD, RELOAD_TIMEOUT). */
bool service_reload(const struct install_target *t, const struct agent_cert *c, struct agent_install_result *res);
/* Asks the service by TLS until it presents the leaf; false with res filled (PROBE, PROBE_OTHER). */
bool service_probe(const struct install_target *t, const struct agent_cert *c, struct agent_install_result *res);

#endif
