/* talk.c - see talk.h */
#include "talk.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct hba hba;
static struct arena hba_arena;

static void start_defaults(struct serve_start *b, int fd)
{
    struct report rep = { 0 };
    *b = (struct serve_start){ .fd = fd, .spool_dir = "/tmp", .pid = 4711, .cancel_key = 0x01020304,
                               .hooks = &talk_hooks, .ops = &talk_ops, .hba = &hba };
    b->peer.ss_family = AF_UNIX;
    arena_init(&hba_arena, 1 << 20);
    assert_ok(hba_parse(&hba, &hba_arena, slice_str("local all +scram scram-sha-256\nlocal all all trust\n"), &rep));
}

void talk_open(struct talk *t, void (*change)(struct serve_start *))
{
    int pair[2];
    struct serve_start b;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    fflush(NULL);
    t->pid = fork();
    if (t->pid == 0) {
        close(pair[0]);
        start_defaults(&b, pair[1]);
        if (change != NULL)
            change(&b);
        int code = serve_client(&b);
        arena_free(&hba_arena);
        _exit(code);
    }
    close(pair[1]);
    t->fd = pair[0];
    t->out = wr_heap(1 << 26);
}

int talk_close(struct talk *t)
{
    int status;
    close(t->fd);
    wr_free(&t->out);
    assert_int_equal(waitpid(t->pid, &status, 0), t->pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* ---- sending ---- */

void talk_raw(struct talk *t, struct slice bytes)
{
    while (bytes.len > 0) {
        ssize_t n = send(t->fd, bytes.p, bytes.len, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        bytes = slice_of(bytes.p + n, bytes.len - (size_t) n);
    }
}

void talk_startup(struct talk *t, const char *pairs, size_t len)
{
    wr_reset(&t->out);
    wr_u32(&t->out, (uint32_t) (len + 9));
    wr_u32(&t->out, 0x00030000);
    wr_bytes(&t->out, pairs, len);
    wr_u8(&t->out, 0);
    talk_raw(t, wr_slice(&t->out));
}

void talk_login(struct talk *t, void (*change)(struct serve_start *))
{
    static const char pairs[] = "user\0ann\0database\0reeve";
    talk_open(t, change);
    talk_startup(t, pairs, sizeof pairs);
    const char *r = talk_reply(t, 0);
    if (strstr(r, "Z(I)") == NULL)
        fail_msg("login: %s", r);
}

static void begin(struct talk *t, char type)
{
    wr_reset(&t->out);
    wr_u8(&t->out, (uint8_t) type);
    wr_u32(&t->out, 0);
}

static void cstr(struct talk *t, const char *s) { wr_bytes(&t->out, s, strlen(s) + 1); }

static void end(struct talk *t)
{
    wr_patch_u32(&t->out, 1, (uint32_t) (t->out.len - 1));
    talk_raw(t, wr_slice(&t->out));
}

void talk_message(struct talk *t, char type, struct slice body)
{
    begin(t, type);
    wr_bytes(&t->out, body.p, body.len);
    end(t);
}

void talk_query(struct talk *t, const char *sql)
{
    begin(t, 'Q');
    cstr(t, sql);
    end(t);
}

void talk_parse(struct talk *t, const char *name, const char *sql)
{
    begin(t, 'P');
    cstr(t, name);
    cstr(t, sql);
    wr_u16(&t->out, 0);
    end(t);
}

void talk_bind(struct talk *t, const char *portal, const char *stmt, int result_format, ...)
{
    const char *values[16], *v;
    int n = 0;
    va_list ap;
    va_start(ap, result_format);
    while ((v = va_arg(ap, const char *)) != NULL)
        values[n++] = v;
    va_end(ap);
    begin(t, 'B');
    cstr(t, portal);
    cstr(t, stmt);
    wr_u16(&t->out, 0);
    wr_u16(&t->out, (uint16_t) n);
    for (int i = 0; i < n; i++)
        wr_str32(&t->out, slice_str(values[i]));
    wr_u16(&t->out, 1);
    wr_u16(&t->out, (uint16_t) result_format);
    end(t);
}

void talk_execute(struct talk *t, const char *portal, uint32_t max)
{
    begin(t, 'E');
    cstr(t, portal);
    wr_u32(&t->out, max);
    end(t);
}

static void target(struct talk *t, char type, char kind, const char *name)
{
    begin(t, type);
    wr_u8(&t->out, (uint8_t) kind);
    cstr(t, name);
    end(t);
}

void talk_describe(struct talk *t, char kind, const char *name) { target(t, 'D', kind, name); }
void talk_close_name(struct talk *t, char kind, const char *name) { target(t, 'C', kind, name); }
void talk_sync(struct talk *t) { talk_message(t, 'S', slice_of("", 0)); }
void talk_flush(struct talk *t) { talk_message(t, 'H', slice_of("", 0)); }

/* ---- receiving ---- */

static bool get(int fd, void *to, size_t len)
{
    uint8_t *p = to;
    while (len > 0) {
        struct pollfd pf = { .fd = fd, .events = POLLIN };
        if (poll(&pf, 1, 10000) != 1)
            fail_msg("no answer within 10 s");
        ssize_t n = recv(fd, p, len, 0);
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t) n;
    }
    return true;
}

static const char *rd_text(struct rd *r)
{
    const char *s = (const char *) r->p;
    (void) !rd_bytes(r, strlen(s) + 1).len;
    return s;
}

static void print_report(struct wr *w, struct rd *r)
{
    const char *code = "", *message = "", *hint = "", *position = "";
    for (uint8_t f = rd_u8(r); f != 0; f = rd_u8(r)) {
        const char *s = rd_text(r);
        code = f == 'C' ? s : code;
        message = f == 'M' ? s : message;
        hint = f == 'H' ? s : hint;
        position = f == 'P' ? s : position;
    }
    wr_printf(w, "(%s %s%s%s)", code, message, *position ? " @" : "", position);
}

static void print_columns(struct wr *w, struct rd *r)
{
    int n = rd_u16(r);
    wr_text(w, "(");
    for (int i = 0; i < n; i++) {
        const char *name = rd_text(r);
        rd_u32(r);
        rd_u16(r);
        uint32_t type = rd_u32(r);
        rd_u16(r);
        rd_u32(r);
        wr_printf(w, "%s%s:%u:%u", i ? "," : "", name, type, rd_u16(r));
    }
    wr_text(w, ")");
}

static void print_value(struct wr *w, struct slice v)
{
    bool plain = true;
    for (size_t i = 0; i < v.len; i++)
        plain &= v.p[i] >= ' ' && v.p[i] < 127;
    if (plain)
        wr_bytes(w, v.p, v.len);
    else
        for (size_t i = 0; i < v.len; i++)
            wr_printf(w, "%02x", v.p[i]);
}

static void print_row(struct wr *w, struct rd *r)
{
    int n = rd_u16(r);
    wr_text(w, "(");
    for (int i = 0; i < n; i++) {
        uint32_t len = rd_u32(r);
        wr_text(w, i ? "," : "");
        if (len == UINT32_MAX)
            wr_text(w, "NULL");
        else
            print_value(w, rd_bytes(r, len));
    }
    wr_text(w, ")");
}

static void print_auth(struct wr *w, struct rd *r)
{
    uint32_t code = rd_u32(r);
    wr_printf(w, "%u", code);
    if (code == 10) {
        wr_text(w, "(");
        for (const char *m = rd_text(r); *m; m = rd_text(r))
            wr_printf(w, "%s;", m);
        wr_text(w, ")");
    }
}

static void show_message(struct wr *w, uint8_t type, struct slice body)
{
    struct rd r = rd_of(body);
    wr_u8(w, type);
    switch (type) {
    case 'E': case 'N':
        print_report(w, &r);
        break;
    case 'T':
        print_columns(w, &r);
        break;
    case 'D':
        print_row(w, &r);
        break;
    case 'R':
        print_auth(w, &r);
        break;
    case 'C':
        wr_printf(w, "(%s)", rd_text(&r));
        break;
    case 'S':
        wr_printf(w, "(%s=", rd_text(&r));
        wr_printf(w, "%s)", rd_text(&r));
        break;
    case 'Z':
        wr_printf(w, "(%c)", rd_u8(&r));
        break;
    case 'd':
        wr_printf(w, "(%.*s)", (int) body.len - 1, (const char *) body.p);
        break;
    case 't': {
        int n = rd_u16(&r);
        wr_text(w, "(");
        for (int i = 0; i < n; i++)
            wr_printf(w, "%s%u", i ? "," : "", rd_u32(&r));
        wr_text(w, ")");
        break;
    }
    case 'v': {
        wr_printf(w, "(%u", rd_u32(&r));
        int n = (int) rd_u32(&r);
        for (int i = 0; i < n; i++)
            wr_printf(w, ";%s", rd_text(&r));
        wr_text(w, ")");
        break;
    }
    }
}

const char *talk_reply(struct talk *t, int n)
{
    struct wr w = wr_fixed(t->reply, sizeof t->reply - 1);
    static uint8_t body[1 << 24];
    for (int i = 0; n == 0 || i < n; i++) {
        uint8_t head[5];
        if (i > 0)
            wr_text(&w, " ");
        if (!get(t->fd, head, 1)) {
            wr_text(&w, "EOF");
            break;
        }
        assert_true(get(t->fd, head + 1, 4));
        struct rd r = rd_of(slice_of(head + 1, 4));
        uint32_t len = rd_u32(&r) - 4;
        assert_true(len < sizeof body && get(t->fd, body, len));
        show_message(&w, head[0], slice_of(body, len));
        if (head[0] == 'Z')
            break;
    }
    t->reply[w.len] = '\0';
    return t->reply;
}

void talk_expect(struct talk *t, const char *want)
{
    const char *got = talk_reply(t, 0);
    if (strcmp(got, want) != 0)
        fail_msg("\n  got:  %s\n  want: %s", got, want);
}
