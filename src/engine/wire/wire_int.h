/* wire_int.h - shared by the files of this folder. */
#ifndef REEVE_WIRE_INT_H
#define REEVE_WIRE_INT_H

#include "engine/wire.h"

/*
 * One structure read or written by its fields. decode: exts false for groups.
 * Both leave their failure in the reader or writer; decode also says which.
 */
enum reeve_err wire_fields_decode(const struct wire_field *f, void *item, struct rd *r, bool exts);
void wire_fields_encode(const struct wire_field *f, const void *item, struct wr *w);
/* Encoded length, or -1 when a field is out of its bounds. */
int64_t wire_fields_size(const struct wire_field *f, const void *item);

#endif
