/* test_channel.c - frames, checks, requests and descriptors over real socket pairs. */
#include "../unit.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/ipc/ipc.h"
#include "backend/utils/clock.h"

/* A ring that a backend talks to; the other end is raw bytes, or a channel of its own. */
struct side {
    unsigned messages, closes;
    struct ipc_msg last;
    char body[64];
    int kept_fd;
    char why[200];
    uint64_t reply_to[8];
    bool hold, close_inside, pause_inside;
};
static struct loop *loop;
static struct ipc_channel *ch;
static struct side side;
static int raw;

static void on_message(void *arg, struct ipc_channel *c, struct ipc_msg *m)
{
    struct side *s = arg;
    if (s->messages < 8)
        s->reply_to[s->messages] = m->id;
    s->messages++;
    s->last = *m;
    snprintf(s->body, sizeof s->body, "%.*s", (int) m->body.len, (const char *) m->body.p);
    s->kept_fd = m->fd;
    m->fd = -1;
    if (s->pause_inside)
        ipc_pause(c, true);
    if (s->close_inside)
        ipc_close(c);
    else if (!s->hold)
        ipc_reply(c, m->id, slice_str("done"));
}

static void on_closed(void *arg, struct ipc_channel *c, const char *why)
{
    struct side *s = arg;
    s->closes++;
    snprintf(s->why, sizeof s->why, "%s", why);
    if (c == ch)
        ch = NULL;
}

static void open_as(enum proc_kind self, enum proc_kind peer)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    raw = pair[1];
    assert_ok(ipc_open(&ch, pair[0], self, peer, 4711));
    assert_ok(ipc_attach(ch, loop, &(struct ipc_handler){ &side, on_message, on_closed }));
}

static int setup(void **state)
{
    memset(&side, 0, sizeof side);
    side.kept_fd = -1;
    raw = -1;
    ch = NULL;
    return loop_new(&loop) != REEVE_OK;
}

static int teardown(void **state)
{
    ipc_close(ch);
    if (raw >= 0)
        close(raw);
    if (side.kept_fd >= 0)
        close(side.kept_fd);
    loop_free(loop);
    return 0;
}

static void turn(int n)
{
    while (n-- > 0)
        loop_run_once(loop, 0);
}

/* A frame as bytes; len_add falsifies its length. */
static size_t frame(uint8_t *out, unsigned type, unsigned flags, uint64_t id, const char *body, int len_add)
{
    struct wr w = wr_fixed(out, 512);
    wr_u32(&w, (uint32_t) (12 + (int) strlen(body) + len_add));
    wr_u16(&w, (uint16_t) type);
    wr_u16(&w, (uint16_t) flags);
    wr_u64(&w, id);
    wr_text(&w, body);
    return w.len;
}

static void feed(const void *p, size_t len)
{
    assert_int_equal(send(raw, p, len, MSG_NOSIGNAL), (ssize_t) len);
    turn(3);
}

static void feed_frame(unsigned type, unsigned flags, uint64_t id, const char *body, int len_add)
{
    uint8_t mem[512];
    feed(mem, frame(mem, type, flags, id, body, len_add));
}

static void feed_with_fd(unsigned type, unsigned flags, int fd)
{
    uint8_t mem[512];
    struct iovec iov = { mem, frame(mem, type, flags, 0, "\x02" "abcd", 0) };
    char control[CMSG_SPACE(sizeof fd)] = { 0 };
    struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
    struct cmsghdr *c = CMSG_FIRSTHDR(&mh);
    *c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    assert_true(sendmsg(raw, &mh, 0) > 0);
    turn(3);
}

static void refused_with(const char *why)
{
    assert_int_equal(side.messages, 0);
    assert_int_equal(side.closes, 1);
    if (strstr(side.why, why) == NULL)
        fail_msg("closed for \"%s\", not for \"%s\"", side.why, why);
}

/* ---- what arrives ---- */

static void a_frame_arrives_whole_however_it_is_cut(void **state)
{
    open_as(PROC_RING, PROC_BACKEND);
    uint8_t mem[512];
    size_t n = frame(mem, MSG_PROPOSE, 0, 7, "command", 0);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(side.messages, 0);
        feed(mem + i, 1);
    }
    assert_int_equal(side.messages, 1);
    assert_int_equal(side.last.type, MSG_PROPOSE);
    assert_string_equal(side.body, "command");
}

static void frames_sent_together_arrive_one_by_one(void **state)
{
    open_as(PROC_RING, PROC_BACKEND);
    uint8_t mem[512];
    size_t n = frame(mem, MSG_PROPOSE, 0, 1, "a", 0);
    n += frame(mem + n, MSG_BARRIER, 0, 2, "", 0);
    n += frame(mem + n, MSG_PROPOSE, 0, 3, "c", 0);
    feed(mem, n);
    assert_int_equal(side.messages, 3);
    assert_int_equal(side.reply_to[1], 2);
    assert_string_equal(side.body, "c");
}

static void an_oversized_frame_closes_the_channel(void **state)
{
    open_as(PROC_RING, PROC_BACKEND);
    feed_frame(MSG_PROPOSE, 0, 1, "", (int) IPC_BODY_MAX + 1);
    refused_with("impossible length");
}

static void a_frame_shorter_than_its_header_closes_the_channel(void **state)
{
    open_as(PROC_RING, PROC_BACKEND);
    feed_frame(MSG_PROPOSE, 0, 1, "", -1);
    refused_with("impossible length");
}

static void a_frame_cut_off_by_the_end_is_not_seen(void **state)
{
    open_as(PROC_RING, PROC_BACKEND);
    feed_frame(MSG_PROPOSE, 0, 1, "abc", 5);
    close(raw);
    raw = -1;
    turn(3);
    refused_with("closed by its peer");
}

static void a_sender_that_may_not_is_refused(void **state)
{
    open_as(PROC_SIGNER, PROC_GATEWAY);
    feed_frame(MSG_SIGN_VOTE, 0, 1, "x", 0);
    refused_with("message not allowed (message SIGN_VOTE from gateway 4711)");
}

static void an_unknown_type_is_refused(void **state)
{
    open_as(PROC_RING, PROC_BACKEND);
    feed_frame(60000, 0, 1, "x", 0);
    refused_with("message not allowed");
}

static void unknown_flags_are_refused(void **state)
{
    open_as(PROC_RING, PROC_BACKEND);
    feed_frame(MSG_PROPOSE, 2, 1, "x", 0);
    refused_with("unknown flags");
}

static void a_reply_to_nothing_is_refused_and_a_late_one_dropped(void **state)
{
    open_as(PROC_RING, PROC_BACKEND);
    feed_frame(MSG_REPLY, 0, 99, "whatever", 0);
    assert_int_equal(side.closes, 0);
    feed_frame(MSG_REPLY, 0, 0, "whatever", 0);
    refused_with("reply to nothing");
}

static void nothing_after_a_bad_frame_is_seen(void **state)
{
    open_as(PROC_RING, PROC_BACKEND);
    uint8_t mem[512];
    size_t n = frame(mem, MSG_SIGN_VOTE, 0, 1, "a", 0);
    n += frame(mem + n, MSG_PROPOSE, 0, 2, "b", 0);
    feed(mem, n);
    refused_with("not allowed");
}

static void random_bytes_never_get_through(void **state)
{
    struct rng r = rng_seeded("random_bytes_never_get_through");
    for (int i = 0; i < 300; i++) {
        uint8_t mem[64];
        for (size_t k = 0; k < sizeof mem; k++)
            mem[k] = (uint8_t) rng_next(&r);
        mem[0] = mem[1] = 0;            /* a length that might be believed */
        memset(&side, 0, sizeof side);
        side.kept_fd = -1;
        open_as(PROC_SIGNER, PROC_GATEWAY);
        feed(mem, sizeof mem);
        if (side.messages > 0)
            assert_true(msg_allowed(side.last.type, PROC_GATEWAY, PROC_SIGNER));
        ipc_close(ch);
        ch = NULL;
        close(raw);
        raw = -1;
    }
}

/* ---- descriptors ---- */

static void a_descriptor_arrives_with_the_message_that_carries_it(void **state)
{
    open_as(PROC_SIGNER, PROC_POSTMASTER);
    int pipefd[2];
    assert_int_equal(pipe(pipefd), 0);
    feed_with_fd(MSG_PEER, IPC_F_FD, pipefd[1]);
    assert_int_equal(side.messages, 1);
    assert_true(side.kept_fd >= 0);
    assert_int_equal(write(side.kept_fd, "x", 1), 1);
    char c;
    assert_int_equal(read(pipefd[0], &c, 1), 1);
    assert_true(fcntl(side.kept_fd, F_GETFD) & FD_CLOEXEC);
    close(pipefd[0]);
    close(pipefd[1]);
}

static void a_message_that_must_carry_one_is_refused_without(void **state)
{
    open_as(PROC_SIGNER, PROC_POSTMASTER);
    feed_frame(MSG_PEER, 0, 0, "\x02" "abcd", 0);
    refused_with("descriptor missing");
}

static void a_claimed_but_missing_descriptor_is_refused(void **state)
{
    open_as(PROC_SIGNER, PROC_POSTMASTER);
    feed_frame(MSG_PEER, IPC_F_FD, 0, "\x02" "abcd", 0);
    refused_with("descriptor missing");
}

static void a_descriptor_where_none_belongs_is_refused_and_closed(void **state)
{
    open_as(PROC_RING, PROC_BACKEND);
    int pipefd[2];
    char c;
    assert_int_equal(pipe2(pipefd, O_NONBLOCK), 0);
    feed_with_fd(MSG_PROPOSE, 0, pipefd[1]);
    assert_int_equal(side.closes, 1);
    ipc_close(ch);
    close(pipefd[1]);
    assert_int_equal(read(pipefd[0], &c, 1), 0);        /* nobody holds the writing end any more */
    close(pipefd[0]);
}

/* ---- asking ---- */

struct asked { int n; enum reeve_err err; char text[2048]; };

static void on_answer(void *arg, struct ipc_answer *a)
{
    struct asked *q = arg;
    q->n++;
    q->err = a->err;
    if (a->err == REEVE_OK)
        snprintf(q->text, sizeof q->text, "%.*s", (int) a->result.len, (const char *) a->result.p);
    else
        snprintf(q->text, sizeof q->text, "%s|%s|%s", a->rep.message, a->rep.detail, a->rep.hint);
}

static struct ipc_channel *asker_new(bool attach)
{
    struct ipc_channel *asker;
    open_as(PROC_RING, PROC_BACKEND);
    assert_ok(ipc_open(&asker, raw, PROC_BACKEND, PROC_RING, 1));
    raw = -1;
    if (attach)
        assert_ok(ipc_attach(asker, loop, &(struct ipc_handler){ 0 }));
    return asker;
}

static void a_request_gets_its_answer_once(void **state)
{
    struct ipc_channel *asker = asker_new(true);
    struct asked q = { 0 };
    assert_ok(ipc_request(asker, MSG_PROPOSE, slice_str("do"), 1000, on_answer, &q));
    assert_int_equal(q.n, 0);
    turn(5);
    assert_int_equal(q.n, 1);
    assert_string_equal(q.text, "done");
    turn(5);
    assert_int_equal(q.n, 1);
    ipc_close(asker);
}

static void an_error_comes_back_with_its_report(void **state)
{
    struct ipc_channel *asker = asker_new(true);
    struct asked q = { 0 };
    struct report rep = { 0 };
    side.hold = true;
    assert_ok(ipc_request(asker, MSG_PROPOSE, slice_str("do"), 0, on_answer, &q));
    turn(3);
    report_set(&rep, REEVE_E_WRONG_STATE, "it is late");
    report_detail(&rep, "very");
    report_hint(&rep, "go home");
    ipc_reply_err(ch, side.reply_to[0], REEVE_E_WRONG_STATE, &rep);
    turn(3);
    assert_err(q.err, REEVE_E_WRONG_STATE);
    assert_string_equal(q.text, "it is late|very|go home");
    ipc_close(asker);
}

static void a_silent_service_times_out_and_its_late_answer_is_dropped(void **state)
{
    struct ipc_channel *asker = asker_new(true);
    struct asked q = { 0 };
    side.hold = true;
    assert_ok(ipc_request(asker, MSG_PROPOSE, slice_str("do"), 30, on_answer, &q));
    for (int i = 0; i < 100 && q.n == 0; i++)
        loop_run_once(loop, 20);
    assert_err(q.err, REEVE_E_TIMEOUT);
    ipc_reply(ch, side.reply_to[0], slice_str("late"));
    turn(3);
    assert_int_equal(q.n, 1);
    assert_true(ipc_is_open(asker));
    ipc_close(asker);
}

static void requests_end_when_the_service_dies(void **state)
{
    struct ipc_channel *asker = asker_new(true);
    struct asked q[3] = { 0 };
    side.hold = true;
    for (int i = 0; i < 3; i++)
        assert_ok(ipc_request(asker, MSG_PROPOSE, slice_str("do"), 0, on_answer, &q[i]));
    turn(3);
    ipc_close(ch);
    ch = NULL;
    turn(3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(q[i].n, 1);
        assert_err(q[i].err, REEVE_E_CLOSED);
    }
}

static void too_many_requests_are_refused_not_forgotten(void **state)
{
    struct ipc_channel *asker = asker_new(true);
    struct asked q = { 0 };
    side.hold = true;
    for (unsigned i = 0; i < IPC_PENDING_MAX; i++)
        assert_ok(ipc_request(asker, MSG_BARRIER, slice_str(""), 0, on_answer, &q));
    assert_err(ipc_request(asker, MSG_BARRIER, slice_str(""), 0, on_answer, &q), REEVE_E_BUSY);
    ipc_close(asker);
    assert_int_equal(q.n, IPC_PENDING_MAX);
}

static void a_full_queue_is_busy_and_drains_when_the_peer_reads(void **state)
{
    struct ipc_channel *asker = asker_new(true);
    static uint8_t big[1 << 20];
    enum reeve_err err = REEVE_OK;
    unsigned sent = 0;
    while ((err = ipc_send(asker, MSG_PROPOSE, slice_of(big, sizeof big), -1)) == REEVE_OK && sent < 100)
        sent++;
    assert_err(err, REEVE_E_BUSY);
    assert_in_range(sent, IPC_QUEUE_MAX / sizeof big - 1, IPC_QUEUE_MAX / sizeof big + 2);
    side.hold = true;
    for (int i = 0; i < 5000 && side.messages < sent; i++)
        loop_run_once(loop, 10);
    assert_int_equal(side.messages, sent);
    assert_int_equal(ipc_queued(asker), 0);
    ipc_close(asker);
}

static void closing_inside_a_handler_is_safe(void **state)
{
    struct ipc_channel *asker = asker_new(true);
    struct asked q[2] = { 0 };
    side.close_inside = true;
    assert_ok(ipc_request(asker, MSG_PROPOSE, slice_str("a"), 0, on_answer, &q[0]));
    assert_ok(ipc_request(asker, MSG_PROPOSE, slice_str("b"), 0, on_answer, &q[1]));
    turn(5);
    ch = NULL;
    assert_int_equal(side.messages, 1);
    assert_err(q[0].err, REEVE_E_CLOSED);
    assert_err(q[1].err, REEVE_E_CLOSED);
}

static void a_reply_to_a_dead_channel_is_harmless(void **state)
{
    struct ipc_channel *asker = asker_new(true);
    struct asked q = { 0 };
    side.hold = true;
    assert_ok(ipc_request(asker, MSG_PROPOSE, slice_str("a"), 0, on_answer, &q));
    turn(3);
    struct ipc_channel *kept = ipc_ref(ch);
    ipc_close(asker);
    turn(3);
    assert_int_equal(side.closes, 1);
    assert_false(ipc_is_open(kept));
    ipc_reply(kept, side.reply_to[0], slice_str("nobody"));
    ipc_unref(kept);
}

static void a_paused_channel_delivers_what_had_arrived_when_it_goes_on(void **state)
{
    open_as(PROC_RING, PROC_BACKEND);
    uint8_t mem[512];
    size_t n = frame(mem, MSG_PROPOSE, 0, 1, "a", 0);
    n += frame(mem + n, MSG_PROPOSE, 0, 2, "b", 0);
    side.pause_inside = true;
    feed(mem, n);
    assert_int_equal(side.messages, 1);
    side.pause_inside = false;
    ipc_pause(ch, false);
    turn(3);
    assert_int_equal(side.messages, 2);
}

/* ---- waiting ---- */

static void pump_until_read(pid_t pid)
{
    for (int i = 0; i < 200 && side.messages == 0; i++)
        loop_run_once(loop, 10);
}

static enum reeve_err serve_while_waiting(void *arg, int fd, short events, int timeout_ms, struct report *rep)
{
    int *canceled = arg;
    loop_run_once(loop, 0);
    return canceled != NULL && (*canceled)-- <= 0 ? REEVE_E_CANCELED : REEVE_OK;
}

static void a_call_waits_for_its_answer(void **state)
{
    struct ipc_channel *asker = asker_new(false);
    struct report rep = { 0 };
    struct slice result;
    ipc_set_wait(asker, serve_while_waiting, NULL);
    assert_ok(ipc_call(asker, MSG_PROPOSE, slice_str("x"), (struct mono_ms){ 0 }, &result, NULL, &rep));
    assert_true(slice_eq(result, slice_str("done")));
    assert_ok(ipc_call(asker, MSG_BARRIER, slice_str(""), clock_deadline(1000), NULL, NULL, &rep));
    ipc_close(asker);
}

static void a_call_ends_at_its_deadline(void **state)
{
    struct ipc_channel *asker = asker_new(false);
    struct report rep = { 0 };
    int64_t from = clock_mono().ms;
    assert_err(ipc_call(asker, MSG_PROPOSE, slice_str("x"), clock_deadline(40), NULL, NULL, &rep), REEVE_E_TIMEOUT);
    assert_in_range(clock_mono().ms - from, 35, 2000);
    pump_until_read(0);
    /* The late answer to the first call is not taken for the second's. */
    turn(3);
    ipc_set_wait(asker, serve_while_waiting, NULL);
    assert_ok(ipc_call(asker, MSG_BARRIER, slice_str(""), clock_deadline(1000), NULL, NULL, &rep));
    ipc_close(asker);
}

static void a_waiter_can_give_a_call_up(void **state)
{
    struct ipc_channel *asker = asker_new(false);
    struct report rep = { 0 };
    int rounds = 3;
    side.hold = true;
    ipc_set_wait(asker, serve_while_waiting, &rounds);
    assert_err(ipc_call(asker, MSG_PROPOSE, slice_str("x"), (struct mono_ms){ 0 }, NULL, NULL, &rep), REEVE_E_CANCELED);
    assert_true(ipc_is_open(asker));
    ipc_close(asker);
}

static void a_call_to_a_dead_service_is_closed_and_stays_so(void **state)
{
    struct ipc_channel *asker = asker_new(false);
    struct report rep = { 0 };
    ipc_close(ch);
    ch = NULL;
    assert_err(ipc_call(asker, MSG_PROPOSE, slice_str("x"), (struct mono_ms){ 0 }, NULL, NULL, &rep), REEVE_E_CLOSED);
    assert_err(ipc_call(asker, MSG_PROPOSE, slice_str("x"), (struct mono_ms){ 0 }, NULL, NULL, &rep), REEVE_E_CLOSED);
    assert_false(ipc_is_open(asker));
    ipc_close(asker);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
    T(a_frame_arrives_whole_however_it_is_cut),
    T(frames_sent_together_arrive_one_by_one),
    T(an_oversized_frame_closes_the_channel),
    T(a_frame_shorter_than_its_header_closes_the_channel),
    T(a_frame_cut_off_by_the_end_is_not_seen),
    T(a_sender_that_may_not_is_refused),
    T(an_unknown_type_is_refused),
    T(unknown_flags_are_refused),
    T(a_reply_to_nothing_is_refused_and_a_late_one_dropped),
    T(nothing_after_a_bad_frame_is_seen),
    T(random_bytes_never_get_through),
    T(a_descriptor_arrives_with_the_message_that_carries_it),
    T(a_message_that_must_carry_one_is_refused_without),
    T(a_claimed_but_missing_descriptor_is_refused),
    T(a_descriptor_where_none_belongs_is_refused_and_closed),
    T(a_request_gets_its_answer_once),
    T(an_error_comes_back_with_its_report),
    T(a_silent_service_times_out_and_its_late_answer_is_dropped),
    T(requests_end_when_the_service_dies),
    T(too_many_requests_are_refused_not_forgotten),
    T(a_full_queue_is_busy_and_drains_when_the_peer_reads),
    T(closing_inside_a_handler_is_safe),
    T(a_reply_to_a_dead_channel_is_harmless),
    T(a_paused_channel_delivers_what_had_arrived_when_it_goes_on),
    T(a_call_waits_for_its_answer),
    T(a_call_ends_at_its_deadline),
    T(a_waiter_can_give_a_call_up),
    T(a_call_to_a_dead_service_is_closed_and_stays_so),
};
UNIT_MAIN(tests)
