/* (W29) */
/* Thousands of sockets that open, write, close, half-close, move, pause and time out at random,
 * and whose data is checked at every call. `hammer [SOCKETS [SEED [CERTIFICATES]]]`, with a folder of
 * certificates over TLS. */
#include "harness.h"

struct state {
    unsigned magic;
    int is_client, adopted;
    unsigned sum;
};

static unsigned long long seed = 1;
static int goal = 10000;
static int tried, opened, closed_count, refused, moved, wakes, ended, live, most;
static long in_bytes, out_bytes;
static Socket **all;
static int all_count;
static char bytes[70000];

static unsigned draw(unsigned below) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned) (seed >> 33) % below;
}

static void fail(const char *what) {
    printf("failed: %s\n", what);
    exit(1);
}

static struct state *state_of(Socket *s) {
    struct state *state = (struct state *) us_socket_ext(0, s);
    if (state->magic != 0xfeedbeef) fail("the data of a socket is not its own");
    if ((us_socket_context(0, s) == second) != state->adopted) fail("the context is another");
    if (state->adopted) {
        unsigned char *more = (unsigned char *) (state + 1);
        for (unsigned i = 0; i < 300; i += 50) if (more[i] != 7) fail("the larger data changed");
    }
    return state;
}

static void forget(Socket *s) {
    for (int i = 0; i < all_count; i++) {
        if (all[i] == s) {
            all[i] = all[--all_count];
            return;
        }
    }
    fail("a socket that nobody knows");
}

static void replace(Socket *old, Socket *new_one) {
    for (int i = 0; i < all_count; i++) if (all[i] == old) all[i] = new_one;
}

static void start_one(void);

/* Does something to a socket; returns it, or where it moved to. */
static Socket *anything(Socket *s) {
    if (us_socket_is_closed(0, s)) fail("a closed socket was called");
    struct state *state = state_of(s);
    switch (draw(12)) {
    case 0:
        if (draw(3) == 0) us_socket_close(0, s, 1, bytes);
        break;
    case 1:
        us_socket_shutdown(0, s);
        break;
    case 2: case 3: case 4: {
        int length = draw(sizeof bytes);
        int count = us_socket_write(0, s, bytes, length, draw(2));
        if (count < 0 || count > length) fail("a write took more than there was");
        out_bytes += count;
        break;
    }
    case 5: {
        int count = us_socket_write2(0, s, bytes, 100, bytes, draw(20000));
        out_bytes += count;
        break;
    }
    case 6:
        if (!state->adopted) {
            state->adopted = 1;
            Socket *to = us_socket_context_adopt_socket(0, second, s,
                sizeof(struct state) + 300 + draw(300));
            memset((char *) us_socket_ext(0, to) + sizeof(struct state), 7, 300);
            if (to != s) {
                if (!us_socket_is_closed(0, s)) fail("the old block is not inert");
                replace(s, to);
                us_socket_close(0, s, 0, 0);
            }
            moved++;
            return to;
        }
        break;
    case 7:
        us_socket_timeout(0, s, draw(3));
        us_socket_long_timeout(0, s, draw(2));
        break;
    case 8:
        us_poll_change((struct us_poll_t *) s, loop, draw(2));
        us_poll_change((struct us_poll_t *) s, loop, LIBUS_SOCKET_READABLE);
        break;
    case 9:
        if (draw(20) == 0) us_socket_shutdown_read(0, s);
        break;
    case 10:
        start_one();
        break;
    default:
        us_socket_flush(0, s);
    }
    return s;
}

static Socket *h_open(Socket *s, int is_client, char *ip, int length) {
    (void) ip;
    if (!is_client && length != 4) fail("no address");
    struct state *state = (struct state *) us_socket_ext(0, s);
    state->magic = 0xfeedbeef;
    state->is_client = is_client;
    state->adopted = 0;
    opened++;
    if (++live > most) most = live;
    all[all_count++] = s;
    us_socket_timeout(0, s, 1 + draw(2));
    return anything(s);
}

static Socket *h_data(Socket *s, char *d, int n) {
    struct state *state = state_of(s);
    if (n < 1 || n > LIBUS_RECV_BUFFER_LENGTH) fail("a length");
    memset(d - LIBUS_RECV_BUFFER_PADDING, 1, LIBUS_RECV_BUFFER_PADDING);
    memset(d + n, 2, LIBUS_RECV_BUFFER_PADDING);
    for (int i = 0; i < n; i += 997) state->sum += (unsigned char) d[i];
    in_bytes += n;
    return anything(s);
}

static Socket *h_writable(Socket *s) { return anything(s); }

static Socket *h_end(Socket *s) {
    state_of(s);
    ended++;
    return draw(2) ? us_socket_close(0, s, 0, 0) : (us_socket_shutdown(0, s), s);
}

static Socket *h_close(Socket *s, int code, void *reason) {
    state_of(s);
    if (reason && (code != 1 || reason != bytes)) fail("code and reason");
    closed_count++;
    live--;
    forget(s);
    /* Others, from inside. */
    if (all_count && draw(8) == 0) anything(all[draw(all_count)]);
    if (draw(2)) start_one();
    return s;
}

static Socket *h_timeout(Socket *s) {
    state_of(s);
    return us_socket_close(0, s, 0, 0);
}

static Socket *h_error(Socket *s, int code) {
    (void) s; (void) code;
    refused++;
    return s;
}

static const char *host = "127.0.0.1";

static void start_one(void) {
    if (tried >= goal) return;
    if (us_socket_context_connect(0, context, host, port, NULL, 0, sizeof(struct state))) {
        tried++;
    }
}

static void h_wake(struct us_loop_t *l) {
    (void) l;
    wakes++;
}

static void h_pre(struct us_loop_t *l) {
    (void) l;
    for (int i = 0; i < 20; i++) start_one();
    if (all_count && draw(4) == 0) anything(all[draw(all_count)]);
    us_wakeup_loop(loop);
}

static void h_post(struct us_loop_t *l) {
    (void) l;
    if (tried >= goal && live == 0 && listener) {
        us_listen_socket_close(0, listener);
        listener = NULL;
    }
}

static void handlers(Context *c) {
    us_socket_context_on_open(0, c, h_open);
    us_socket_context_on_data(0, c, h_data);
    us_socket_context_on_writable(0, c, h_writable);
    us_socket_context_on_end(0, c, h_end);
    us_socket_context_on_close(0, c, h_close);
    us_socket_context_on_timeout(0, c, h_timeout);
    us_socket_context_on_long_timeout(0, c, h_timeout);
    us_socket_context_on_connect_error(0, c, h_error);
}

int main(int argc, char **argv) {
    if (argc > 1) goal = atoi(argv[1]);
    if (argc > 2) seed = strtoull(argv[2], NULL, 10);
    fprintf(stderr, "seed %llu\n", seed);
    all = (Socket **) malloc(sizeof *all * (2 * goal + 16));
    struct us_socket_context_options_t options;
    memset(&options, 0, sizeof options);
    char cert[300], key[300], ca[300];
    int secure = argc > 3;
    if (secure) {
        snprintf(cert, sizeof cert, "%s/localhost.pem", argv[3]);
        snprintf(key, sizeof key, "%s/localhost.key", argv[3]);
        snprintf(ca, sizeof ca, "%s/ca.pem", argv[3]);
        options.cert_file_name = cert;
        options.key_file_name = key;
        options.ca_file_name = ca;
        host = "localhost";
    }
    loop = us_create_loop(NULL, h_wake, h_pre, h_post, 0);
    context = us_create_socket_context(secure, loop, 0, options);
    if (!context) fail("no context");
    second = us_create_child_socket_context(0, context, 0);
    handlers(context);
    handlers(second);
    listener = us_socket_context_listen(0, context, "127.0.0.1", 0, 0, sizeof(struct state));
    port = us_socket_local_port(0, (Socket *) listener);
    us_loop_run(loop);
    struct us_loop_statistics_t statistics = us_loop_statistics(loop);
    us_socket_context_free(0, second);
    us_socket_context_free(0, context);
    us_loop_free(loop);
    free(all);
    fprintf(stderr, "%d opened, %d at once, %d moved, %d ends, %d refused, %ld of %ld bytes\n",
        opened, most, moved, ended, refused, in_bytes, out_bytes);
    /* TLS has no half-close to tell of. */
    if (secure) ended = goal;
    SAY("connected %d, as many closed as opened %d, none open %d, much happened %d",
        tried == goal, opened == closed_count, statistics.open == 0,
        moved > goal / 20 && ended > goal / 20 && wakes > 1 && in_bytes > 0);
    return 0;
}
/* Prints:
connected 1, as many closed as opened 1, none open 1, much happened 1
*/
