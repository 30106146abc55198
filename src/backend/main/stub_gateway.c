/* stub_gateway.c - until backend/gateway is there */
#include "backend/gateway/gateway.h"
#include "backend/main/stub_int.h"

int gateway_main(struct child *c) { return stub_child(c); }
