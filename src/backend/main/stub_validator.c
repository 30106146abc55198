/* stub_validator.c - until backend/validator is there */
#include "backend/main/stub_int.h"
#include "backend/validator/validator.h"

int validator_main(struct child *c) { return stub_child(c); }

enum reeve_err validator_init(const char *dir, struct slice genesis, struct report *rep)
{
    return REEVE_OK;
}
