/* culprit.c - validators that contradicted themselves, as the validator beside us tells it: an issue each, for all members */
#include "backend/ring/driver_int.h"

#include <stdio.h>

#include "backend/utils/log.h"

#define HINT "reeve-ctl evidence DIR shows the proof. Whoever has that validator's key cannot be trusted: was DIR copied, or " \
             "an old copy of its keys moved in? Replace it."

static struct culprit *place_for(struct ring *r, const struct name *who)
{
    for (unsigned i = 0; i < r->n_culprits; i++)
        if (name_eq(&r->culprit[i].who, who))
            return &r->culprit[i];
    return r->n_culprits < CULPRITS_MAX ? &r->culprit[r->n_culprits++] : NULL;
}

void culprit_heard(struct ring *r, struct slice body)
{
    struct rd in = rd_of(body);
    struct culprit c, *at;
    rd_name(&in, &c.who);
    c.view = rd_u64(&in);
    c.type[0] = rd_u8(&in);
    c.type[1] = rd_u8(&in);
    c.stands = rd_u8(&in) != 0;
    if (!rd_done(&in) || (at = place_for(r, &c.who)) == NULL)
        log_limited(LOG_SEV_WARNING, "the validator's word of a culprit is dropped");
    else
        *at = c;
}

static const char *kind_name(uint8_t type)
{
    static const char *const name[] = { "?", "propose", "notarize", "nullify", "finalize" };
    return type < sizeof name / sizeof *name ? name[type] : "?";
}

/* What a queue had no room for is proposed again in the next round. */
void culprits_run(struct ring *r, struct ring_view *v)
{
    for (unsigned i = 0; i < r->n_culprits; i++) {
        const struct culprit *c = &r->culprit[i];
        char text[200];
        snprintf(text, sizeof text, "signed %s and %s in view %llu; an honest validator signs one of them",
                 kind_name(c->type[0]), kind_name(c->type[1]), (unsigned long long) c->view);
        issue_set(r, v, "validator_contradicts", &c->who, c->stands ? 3 : 0, text, HINT);
    }
}
