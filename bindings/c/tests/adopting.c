/* Sockets that move to another context, pointers that are no longer theirs, and descriptors that
 * a program takes and gives back. */
#include "harness.h"
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

static Socket *adopted_data(Socket *s, char *d, int n) {
    SAY("the second context has %.*s, magic %d, its own context %d", n, d, data_of(s)->magic,
        us_socket_context(0, s) == second);
    close_everything();
    return s;
}

static Socket *adopt(Socket *s, char *d, int n, int size) {
    (void) d; (void) n;
    Socket *moved = us_socket_context_adopt_socket(0, second, s, size);
    SAY("moved %d, ext aligned %d", moved != s,
        (uintptr_t) us_socket_ext(0, moved) % LIBUS_EXT_ALIGNMENT == 0);
    memset((char *) us_socket_ext(0, moved) + sizeof(struct data), 1, size - sizeof(struct data));
    if (moved != s) {
        /* The old pointer is inert until the iteration is over. */
        us_socket_timeout(0, s, 1);
        us_socket_shutdown(0, s);
        us_socket_close(0, s, 1, 0);
        us_poll_change((struct us_poll_t *) s, loop, 0);
        SAY("the old one is closed %d, takes %d, has port %d and descriptor %d, stays %d",
            us_socket_is_closed(0, s), us_socket_write(0, s, "x", 1, 0),
            us_socket_local_port(0, s), us_poll_fd((struct us_poll_t *) s),
            us_socket_context_adopt_socket(0, context, s, 8192) == s);
    }
    us_socket_write(0, client[0], "two", 3, 0);
    on.second_data = adopted_data;
    return moved;
}

static Socket *adopt_larger(Socket *s, char *d, int n) { return adopt(s, d, n, 4096); }
static Socket *adopt_smaller(Socket *s, char *d, int n) { return adopt(s, d, n, sizeof(struct data)); }

static Socket *write_one(Socket *s, int is_client) {
    if (is_client) us_socket_write(0, s, "one", 3, 0);
    return s;
}

/* Adopting in on_open, as a server does that knows at once. */
static Socket *adopt_in_open(Socket *s, int is_client) {
    if (is_client) {
        us_socket_write(0, s, "one", 3, 0);
        return s;
    }
    on.second_data = adopted_data;
    return us_socket_context_adopt_socket(0, second, s, 512);
}

/* Adopting a socket about which there is nothing to read for now, then the peer resets. */
static Socket *adopt_paused(Socket *s) {
    us_poll_change((struct us_poll_t *) s, loop, 0);
    return us_socket_context_adopt_socket(0, second, s, 4096);
}

static Socket *end_client(Socket *s, int is_client) {
    if (is_client) us_socket_shutdown(0, s);
    return s;
}

static void close_client(Timer *timer) {
    us_timer_close(timer);
    us_listen_socket_close(0, listener);
    us_socket_close(0, client[0], 0, 0);
    us_socket_context_close(0, second);
}

static int taken = -1;

static int take(Context *c, int fd, char *ip, int length) {
    (void) c;
    SAY("on_pre_open, address of %d bytes from %d.%d.%d.%d", length, ip[0], ip[1], ip[2], ip[3]);
    taken = fd;
    us_wakeup_loop(loop);
    return -1;
}

static int leave(Context *c, int fd, char *ip, int length) {
    (void) c; (void) ip; (void) length;
    return fd;
}

static void give_back(void) {
    if (taken < 0) return;
    char ip[4] = {127, 0, 0, 1};
    int before = servers;
    Socket *s = us_adopt_accepted_socket(0, context, taken, sizeof(struct data), ip, 4);
    SAY("given back: open at once %d, established %d, the same descriptor %d", servers - before,
        us_socket_is_established(0, s), us_poll_fd((struct us_poll_t *) s) == taken);
    taken = -1;
}

static Socket *ping(Socket *s, int is_client) {
    if (is_client) us_socket_write(0, s, "ping", 4, 0);
    return s;
}

static Socket *pong(Socket *s, char *d, int n) {
    SAY("the %s got %.*s", side(s), n, d);
    if (data_of(s)->is_client) close_everything();
    else us_socket_write(0, s, "pong", 4, 0);
    return s;
}

/* A descriptor of a socket pair, written to before it is known to be open. */
static Socket *pair_data(Socket *s, char *d, int n) {
    SAY("from the pair: %.*s", n, d);
    return us_socket_close(0, s, 0, 0);
}

static Socket *move_in_open(Socket *s, int is_client) {
    (void) is_client;
    return us_socket_context_adopt_socket(0, second, s, 4096);
}

static Socket *say_end(Socket *s) {
    SAY("its end came");
    return us_socket_close(0, s, 0, 0);
}

static Socket *say_data(Socket *s, char *d, int n) {
    SAY("from the pair: %.*s", n, d);
    return s;
}

int main(void) {
    /* (W1, W2) */
    begin("into a larger block", 1);
    on.open = write_one; on.data = adopt_larger;
    finish();
    begin("in place", 1);
    on.open = write_one; on.data = adopt_smaller;
    finish();
    /* (W2) */
    begin("in on_open", 1);
    on.open = adopt_in_open;
    finish();
    /* (W1) */
    begin("a paused one that is reset", 1);
    on.open = end_client; on.end = adopt_paused;
    after(50, close_client);
    finish();
    begin("a descriptor taken and given back", 1);
    us_socket_context_on_pre_open(0, context, take);
    on.open = ping; on.data = pong; on.wake = give_back;
    finish();
    begin("a descriptor left", 1);
    us_socket_context_on_pre_open(0, context, leave);
    on.open = ping; on.data = pong;
    finish();
    begin("a descriptor of elsewhere", 0);
    us_listen_socket_close(0, listener);
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) return 1;
    on.data = pair_data;
    Socket *s = us_adopt_accepted_socket(0, context, pair[0], sizeof(struct data), NULL, 0);
    us_socket_shutdown(0, s);
    SAY("written %d", (int) write(pair[1], "pair", 4));
    finish();
    char end;
    SAY("its end came: %d", read(pair[1], &end, 1) == 0);
    close(pair[1]);
    /* (W2, W4) */
    begin("a descriptor of elsewhere that moves in on_open, and whose peer is gone", 0);
    us_listen_socket_close(0, listener);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) return 1;
    SAY("written %d", (int) write(pair[1], "last", 4));
    close(pair[1]);
    on.open = move_in_open; on.second_data = say_data; on.end = say_end;
    s = us_adopt_accepted_socket(0, context, pair[0], sizeof(struct data), NULL, 0);
    SAY("where it moved to is returned: %d", !us_socket_is_closed(0, s)
        && us_socket_context(0, s) == second);
    finish();
    return 0;
}
/* Prints:
-- into a larger block
moved 1, ext aligned 1
the old one is closed 1, takes 0, has port -1 and descriptor -1, stays 1
the second context has two, magic 77, its own context 1
opened 1 and 1, closed 2
-- in place
moved 0, ext aligned 1
the second context has two, magic 77, its own context 1
opened 1 and 1, closed 2
-- in on_open
the second context has one, magic 77, its own context 1
opened 1 and 1, closed 2
-- a paused one that is reset
opened 1 and 1, closed 2
-- a descriptor taken and given back
on_pre_open, address of 4 bytes from 127.0.0.1
given back: open at once 1, established 1, the same descriptor 1
the server got ping
the client got pong
opened 1 and 1, closed 2
-- a descriptor left
the server got ping
the client got pong
opened 1 and 1, closed 2
-- a descriptor of elsewhere
written 4
from the pair: pair
opened 1 and 0, closed 1
its end came: 1
-- a descriptor of elsewhere that moves in on_open, and whose peer is gone
written 4
where it moved to is returned: 1
from the pair: last
its end came
opened 1 and 0, closed 1
*/
