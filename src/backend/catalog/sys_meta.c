/* sys_meta.c - the catalog of the catalog: relations, columns, keywords, help; and relations of parts still to come */
#include "cat_int.h"

static int schema_oid(const char *schema)
{
    return strcmp(schema, "sys") == 0 ? 16000 : strcmp(schema, "pg_catalog") == 0 ? 11 : 13000;
}

/* Relations have the oid of their place in the list: stable within a build. */
static int relation_oid(int i)
{
    return 17000 + i;
}

static const struct vcolumn class_columns[] = {
    { "oid", T_OID, true }, { "relname", T_NAME, true }, { "relnamespace", T_OID, true }, { "reltype", T_OID, false },
    { "relowner", T_OID, true }, { "relam", T_OID, false }, { "relkind", T_TEXT, true }, { "relnatts", T_INT2, true },
    { "reltuples", T_FLOAT4, false }, { "relhasindex", T_BOOL, false }, { "relpersistence", T_TEXT, false },
    { "relhasrules", T_BOOL, false }, { "relhastriggers", T_BOOL, false }, { "relrowsecurity", T_BOOL, false },
    { "relforcerowsecurity", T_BOOL, false }, { "relispartition", T_BOOL, false }, { "reltablespace", T_OID, false },
    { "reloftype", T_OID, false }, { "relreplident", T_TEXT, false }, { "relchecks", T_INT2, false }, { "reltoastrelid", T_OID, false },
};

static enum reeve_err scan_class(struct vscan *s)
{
    for (int i = 0; i < catalog_ntables; i++) {
        const struct vtable *t = catalog_tables[i];
        struct datum v[] = {
            d_int(relation_oid(i)), d_str(t->name), d_int(schema_oid(t->schema)), d_int(0), d_int(10), d_int(0), d_str("v"),
            d_int(t->ncolumns), d_float(-1), d_bool(false), d_str("p"), d_bool(false), d_bool(false), d_bool(false), d_bool(false),
            d_bool(false), d_int(0), d_int(0), d_str("n"), d_int(0), d_int(0),
        };
        enum reeve_err err = vscan_row(s, v);
        if (err != REEVE_OK)
            return err;
    }
    return REEVE_OK;
}
RELATION(pg_class, "pg_catalog", "pg_class", class_columns, VKEY_NONE, scan_class, NULL);

static const struct vcolumn attribute_columns[] = {
    { "attrelid", T_OID, true }, { "attname", T_NAME, true }, { "atttypid", T_OID, true }, { "attlen", T_INT2, false },
    { "attnum", T_INT2, true }, { "atttypmod", T_INT4, false }, { "attnotnull", T_BOOL, true }, { "atthasdef", T_BOOL, false },
    { "attisdropped", T_BOOL, true }, { "attidentity", T_TEXT, false }, { "attgenerated", T_TEXT, false }, { "attcollation", T_OID, false },
};

static enum reeve_err column_rows(struct vscan *s, int i)
{
    const struct vtable *t = catalog_tables[i];
    enum reeve_err err = REEVE_OK;
    for (int c = 0; c < t->ncolumns && err == REEVE_OK; c++) {
        const struct type_info *ty = type_by_oid(t->columns[c].type_oid);
        struct datum v[] = { d_int(relation_oid(i)), d_str(t->columns[c].name), d_int(t->columns[c].type_oid), d_int(ty ? ty->len : -1),
                             d_int(c + 1), d_int(-1), d_bool(false), d_bool(false), d_bool(false), d_str(""), d_str(""), d_int(0) };
        err = vscan_row(s, v);
    }
    return err;
}

static enum reeve_err scan_attribute(struct vscan *s)
{
    enum reeve_err err = REEVE_OK;
    for (int i = 0; i < catalog_ntables && err == REEVE_OK; i++)
        err = column_rows(s, i);
    return err;
}
RELATION(pg_attribute, "pg_catalog", "pg_attribute", attribute_columns, VKEY_NONE, scan_attribute, NULL);

/* The same for people: SELECT * FROM sys.relations. */
static const struct vcolumn relations_columns[] = {
    { "schema", T_TEXT, true }, { "name", T_TEXT, true }, { "columns", T_TEXT_ARRAY, true },
};

static enum reeve_err scan_relations(struct vscan *s)
{
    enum reeve_err err = REEVE_OK;
    for (int i = 0; i < catalog_ntables && err == REEVE_OK; i++) {
        const struct vtable *t = catalog_tables[i];
        struct slice *names = arena_alloc(s->row, (size_t) t->ncolumns * sizeof *names);
        if (names == NULL)
            return report_set(s->report, REEVE_E_NOMEM, "out of memory");
        for (int c = 0; c < t->ncolumns; c++)
            names[c] = slice_str(t->columns[c].name);
        struct datum v[] = { d_str(t->schema), d_str(t->name), { .kind = D_TEXTS, .texts = { t->ncolumns, names } } };
        err = vscan_row(s, v);
    }
    return err;
}
RELATION(sys_relations, "sys", "relations", relations_columns, VKEY_NONE, scan_relations, NULL);

/* ---- keywords and help, from the parser's own lists ---- */

static const struct vcolumn keywords_columns[] = { { "word", T_TEXT, true }, { "reserved", T_BOOL, true } };

static enum reeve_err scan_keywords(struct vscan *s)
{
    enum { R = 1, U = 0 };
    static const struct { const char *word; bool reserved; } words[] = {
#define KEYWORD(word, token, category) { word, category },
#include "backend/parser/kwlist.h"
#undef KEYWORD
    };
    enum reeve_err err = REEVE_OK;
    for (size_t i = 0; i < sizeof words / sizeof words[0] && err == REEVE_OK; i++) {
        struct datum v[] = { d_str(words[i].word), d_bool(words[i].reserved) };
        err = vscan_row(s, v);
    }
    return err;
}
RELATION(sys_keywords, "sys", "keywords", keywords_columns, VKEY_NONE, scan_keywords, NULL);

static const struct vcolumn help_columns[] = { { "statement", T_TEXT, true }, { "summary", T_TEXT, true }, { "synopsis", T_TEXT, true } };

static enum reeve_err scan_help(struct vscan *s)
{
    static const struct { const char *verb, *synopsis, *summary; } help[] = {
#define HELP(verb, synopsis, summary) { verb, synopsis, summary },
#include "backend/parser/helplist.h"
#undef HELP
    };
    enum reeve_err err = REEVE_OK;
    for (size_t i = 0; i < sizeof help / sizeof help[0] && err == REEVE_OK; i++) {
        struct datum v[] = { d_str(help[i].verb), d_str(help[i].summary), d_str(help[i].synopsis) };
        err = vscan_row(s, v);
    }
    return err;
}
RELATION(sys_statement_help, "sys", "statement_help", help_columns, VKEY_NONE, scan_help, NULL);

/* ---- relations whose parts come later: their shape stands, they are empty ---- */

static enum reeve_err scan_nothing(struct vscan *s)
{
    (void) s;
    return REEVE_OK;
}

static const struct vcolumn services_columns[] = {
    { "name", T_TEXT, true }, { "port", T_INT4, true }, { "protocol", T_TEXT, true }, { "instances", T_INT4, true }, { "healthy", T_INT4, true },
};
RELATION(sys_services, "sys", "services", services_columns, VKEY_NONE, scan_nothing, NULL);

static const struct vcolumn leases_columns[] = {
    { "lease_id", T_INT8, true }, { "holder", T_TEXT, true }, { "kind", T_TEXT, true }, { "expires", T_TIMESTAMPTZ, true },
};
RELATION(sys_leases, "sys", "leases", leases_columns, VKEY_NONE, scan_nothing, NULL);

static const struct vcolumn extension_columns[] = {
    { "oid", T_OID, false }, { "extname", T_NAME, true }, { "extversion", T_TEXT, true }, { "extnamespace", T_OID, false },
};
RELATION(pg_extension, "pg_catalog", "pg_extension", extension_columns, VKEY_NONE, scan_nothing, NULL);
RELATION(sys_extensions, "sys", "extensions", extension_columns, VKEY_NONE, scan_nothing, NULL);
