/* Ends, back-pressure and pausing: what one direction of a stream does to the other. */
#include "harness.h"

/* Windows reports nothing when this side ends the other direction. */
#ifdef _WIN32
enum { on_windows = 1 };
#else
enum { on_windows = 0 };
#endif

static Socket *end_trace(Socket *s) {
    SAY("on_end of the %s", side(s));
    us_socket_shutdown(0, s);
    return s;
}

static Socket *close_trace(Socket *s, int code, void *reason) {
    SAY("on_close of the %s: %d %d, shut down %d, reason %d", side(s), code, reason != NULL,
        us_socket_is_shut_down(0, s), us_socket_close_reason(0, s));
    if (closes == 2) us_listen_socket_close(0, listener);
    return s;
}

static Socket *say_bye(Socket *s, int is_client) {
    if (is_client) {
        us_socket_write(0, s, "bye", 3, 0);
        us_socket_shutdown(0, s);
        us_socket_shutdown(0, s);
        SAY("a write after shutting down takes %d", us_socket_write(0, s, "x", 1, 0));
    }
    return s;
}

enum { BIG = 64 << 20 };
static char *big;
static int sent;
static long got;
static int stage, in_two, awaits_room;

static Socket *send_big(Socket *s) {
    if (data_of(s)->is_client) return s;
    int half = (BIG - sent) / 2;
    sent += in_two ? us_socket_write2(0, s, big + sent, half, big + sent + half, BIG - sent - half)
                   : us_socket_write(0, s, big + sent, BIG - sent, 0);
    if (sent == BIG) us_socket_shutdown(0, s);
    else if (us_poll_events((struct us_poll_t *) s) == (LIBUS_SOCKET_READABLE | LIBUS_SOCKET_WRITABLE))
        awaits_room++;
    return s;
}

static Socket *open_big(Socket *s, int is_client) { return is_client ? s : send_big(s); }

static Socket *count(Socket *s, char *d, int n) {
    memset(d - LIBUS_RECV_BUFFER_PADDING, 1, LIBUS_RECV_BUFFER_PADDING);
    memset(d + n, 2, LIBUS_RECV_BUFFER_PADDING);
    if (data_of(s)->is_client) got += n;
    return s;
}

static Socket *end_big(Socket *s) {
    SAY("all came: %d, and there was room to wait for: %d", got == BIG, awaits_room > 0);
    us_listen_socket_close(0, listener);
    return us_socket_close(0, s, 0, 0);
}

static void resume(Timer *timer) {
    us_timer_close(timer);
    SAY("nothing came while it was paused: %d; events %d", stage == 0,
        us_poll_events((struct us_poll_t *) server[0]));
    stage = 1;
    us_poll_change((struct us_poll_t *) server[0], loop, LIBUS_SOCKET_READABLE);
}

static Socket *late(Socket *s, char *d, int n) {
    (void) d;
    if (data_of(s)->is_client) return s;
    SAY("%d bytes came after it was resumed: %d", n, stage);
    close_everything();
    return s;
}

static Socket *pause_first(Socket *s, int is_client) {
    if (!is_client) us_poll_change((struct us_poll_t *) s, loop, 0);
    if (servers == 1 && clients == 1) {
        us_socket_write(0, client[0], "late", 4, 0);
        after(50, resume);
    }
    return s;
}

static Socket *end_and_close(Socket *s) {
    SAY("on_end of the %s", side(s));
    if (!data_of(s)->is_client) us_listen_socket_close(0, listener);
    return us_socket_close(0, s, 0, 0);
}

static Socket *stop_reading(Socket *s, int is_client) {
    if (!is_client) us_socket_shutdown_read(0, s);
    return s;
}

/* The server ends first; the client answers with bytes and its end together. */
static Socket *shut_at_once(Socket *s, int is_client) {
    if (!is_client) us_socket_shutdown(0, s);
    return s;
}

static Socket *answer_and_end(Socket *s) {
    if (data_of(s)->is_client) {
        sent = us_socket_write(0, s, big, 100000, 0);
        us_socket_shutdown(0, s);
        us_listen_socket_close(0, listener);
    }
    return s;
}

static Socket *count_server(Socket *s, char *d, int n) {
    (void) d;
    if (!data_of(s)->is_client) got += n;
    return s;
}

static Socket *reset_reason(Socket *s, int code, void *reason) {
    (void) code; (void) reason;
    if (!data_of(s)->is_client) SAY("the server's reason: %d", us_socket_close_reason(0, s));
    return s;
}

/* Unread bytes make closing a reset. */
static Socket *close_unread(Socket *s, int is_client) {
    if (is_client) us_poll_change((struct us_poll_t *) s, loop, 0);
    else us_socket_write(0, s, "unread", 6, 0);
    return s;
}

static void close_client(Timer *timer) {
    us_timer_close(timer);
    us_listen_socket_close(0, listener);
    us_socket_close(0, client[0], 0, 0);
}

static Socket *more(Socket *s, int is_client) {
    if (is_client) return s;
    us_socket_write(0, s, "a", 1, 1);
    us_socket_write(0, s, "b", 1, 1);
    us_socket_flush(0, s);
    return s;
}

static Socket *see_more(Socket *s, char *d, int n) {
    SAY("came together: %.*s", n, d);
    close_everything();
    return s;
}

/* A socket that is paused while it connects stays so. */
static void pause_connecting(void) {
    Socket *s = connect_one();
    us_poll_change((struct us_poll_t *) s, loop, 0);
}

static Socket *greet(Socket *s, int is_client) {
    if (!is_client) us_socket_write(0, s, "hello", 5, 0);
    return s;
}

static void resume_client(Timer *timer) {
    us_timer_close(timer);
    SAY("nothing came while it was paused: %d", stage == 0);
    stage = 1;
    us_poll_change((struct us_poll_t *) client[0], loop, LIBUS_SOCKET_READABLE);
}

static Socket *greeted(Socket *s, char *d, int n) {
    (void) s; (void) d;
    SAY("%d bytes came after it was resumed: %d", n, stage);
    close_everything();
    return s;
}

/* What is written to a peer that has gone is lost, and nothing worse. */
static void write_to_nobody(Timer *timer) {
    us_timer_close(timer);
    us_listen_socket_close(0, listener);
    us_socket_close(0, client[0], 0, 0);
    int taken = 0;
    for (int i = 0; i < 10; i++) {
        taken += us_socket_write2(0, server[0], "head", 4, "body", 4);
        taken += us_socket_write(0, server[0], "x", 1, 0);
        taken += us_socket_write(0, server[0], "x", -1, 0);
    }
    SAY("all was taken %d", taken >= 90);
}

static int ends;

/* The peer has ended; it is sent more than the kernel takes at once. */
static Socket *send_after_end(Socket *s) {
    if (data_of(s)->is_client) return us_socket_close(0, s, 0, 0);
    ends++;
    return send_big(s);
}

static Socket *end_client(Socket *s, int is_client) {
    if (is_client) us_socket_shutdown(0, s);
    return s;
}

static Socket *close_when_all_came(Socket *s, char *d, int n) {
    count(s, d, n);
    if (got == BIG) us_listen_socket_close(0, listener);
    return s;
}

/* Of two servers the first blocks for good, as its peer is paused. Whenever the second has room,
 * the first is tried again. */
static int rooms;

static Socket *try_the_other(Socket *s) {
    if (s != server[1]) return s;
    rooms++;
    us_socket_write(0, server[0], "x", 1, 0);
    return s;
}

static void count_rooms(Timer *timer) {
    us_timer_close(timer);
    SAY("told of room %d times", rooms);
    close_everything();
}

static Socket *block_both(Socket *s, int is_client) {
    (void) s; (void) is_client;
    if (servers < 2 || clients < 2) return s;
    int first = us_socket_remote_port(0, server[0]) == us_socket_local_port(0, client[0]);
    us_poll_change((struct us_poll_t *) client[!first], loop, 0);
    for (int i = 0; i < 2; i++) {
        while (us_socket_write(0, server[i], big, 1 << 20, 0) == 1 << 20) {
        }
    }
    after(500, count_rooms);
    return s;
}

int main(void) {
    big = (char *) calloc(BIG, 1);
    /* (W11) */
    begin("ends", 1);
    on.open = say_bye; on.end = end_trace; on.close = close_trace;
    finish();
    for (in_two = 0; in_two < 2; in_two++) {
        /* (W5) */
        begin(in_two ? "more than the kernel takes, in two parts" : "more than the kernel takes", 1);
        sent = 0; got = 0; awaits_room = 0;
        on.open = open_big; on.writable = send_big; on.data = count; on.end = end_big;
        finish();
    }
    begin("pausing", 1);
    on.open = pause_first; on.data = late;
    finish();
    begin("pausing before it opens", 0);
    stage = 0;
    pause_connecting();
    on.open = greet; on.data = greeted;
    after(50, resume_client);
    finish();
    if (!on_windows) {
        begin("ending the other direction", 1);
        on.open = stop_reading; on.end = end_and_close;
        finish();
    }
    /* (W4) */
    begin("bytes that come with the peer's end, after our end", 1);
    got = 0;
    on.open = shut_at_once; on.end = answer_and_end; on.data = count_server;
    finish();
    SAY("%ld of %d bytes", got, sent);
    /* (W21) */
    begin("a reset", 1);
    on.open = close_unread; on.close = reset_reason;
    after(50, close_client);
    finish();
    begin("more to come", 1);
    on.open = more; on.data = see_more;
    finish();
    /* (W6, W31) */
    begin("writes to a peer that has gone", 1);
    on.open = close_unread; on.close = reset_reason;
    after(50, write_to_nobody);
    finish();
    /* (W11) */
    begin("an end, then more than the kernel takes", 1);
    sent = 0; got = 0; in_two = 0;
    on.open = end_client; on.end = send_after_end; on.writable = send_big;
    on.data = close_when_all_came;
    finish();
    SAY("on_end came %d times, all came %d", ends, got == BIG);
    /* (W7) */
    begin("room of another", 2);
    on.open = block_both; on.writable = try_the_other;
    finish();
    free(big);
    return 0;
}
/* Prints:
-- ends
a write after shutting down takes 0
on_end of the server
on_close of the server: 0 0, shut down 1, reason 1
on_close of the client: 0 0, shut down 1, reason 1
opened 1 and 1, closed 2
-- more than the kernel takes
all came: 1, and there was room to wait for: 1
opened 1 and 1, closed 2
-- more than the kernel takes, in two parts
all came: 1, and there was room to wait for: 1
opened 1 and 1, closed 2
-- pausing
nothing came while it was paused: 1; events 0
4 bytes came after it was resumed: 1
opened 1 and 1, closed 2
-- pausing before it opens
nothing came while it was paused: 1
5 bytes came after it was resumed: 1
opened 1 and 1, closed 2
-- ending the other direction
on_end of the server
on_end of the client
opened 1 and 1, closed 2
-- bytes that come with the peer's end, after our end
opened 1 and 1, closed 2
100000 of 100000 bytes
-- a reset
the server's reason: 3
opened 1 and 1, closed 2
-- more to come
came together: ab
opened 1 and 1, closed 2
-- writes to a peer that has gone
all was taken 0
the server's reason: 3
opened 1 and 1, closed 2
-- an end, then more than the kernel takes
opened 1 and 1, closed 2
on_end came 1 times, all came 1
-- room of another
told of room 1 times
opened 2 and 2, closed 4
*/
