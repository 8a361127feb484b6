/* What the tests share: a loop, two contexts whose callbacks a test sets, and a listener that
 * connections of the same loop connect to. A test prints what it sees; what it is to print is
 * written at its end, between "Prints:" and the end of the comment. */
#ifndef HARNESS_H
#define HARNESS_H

#include <libusockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct us_socket_t Socket;
typedef struct us_socket_context_t Context;
typedef struct us_timer_t Timer;

enum { EACH_MAX = 16 };

struct data { int magic, is_client, number; };

static struct us_loop_t *loop;
static Context *context, *second;
static struct us_listen_socket_t *listener;
static int port, servers, clients, closes;
static Socket *server[EACH_MAX], *client[EACH_MAX];

/* What the running test does; NULL for nothing. */
static struct {
    Socket *(*open)(Socket *, int);
    Socket *(*data)(Socket *, char *, int);
    Socket *(*second_data)(Socket *, char *, int);
    Socket *(*writable)(Socket *);
    Socket *(*end)(Socket *);
    Socket *(*timeout)(Socket *);
    Socket *(*long_timeout)(Socket *);
    Socket *(*close)(Socket *, int, void *);
    Socket *(*connect_error)(Socket *, int);
    void (*wake)(void);
    void (*pre)(void);
    void (*post)(void);
} on;

#define SAY(...) do { printf(__VA_ARGS__); printf("\n"); fflush(stdout); } while (0)

static inline struct data *data_of(Socket *s) { return (struct data *) us_socket_ext(0, s); }
static inline const char *side(Socket *s) { return data_of(s)->is_client ? "client" : "server"; }

static inline Socket *on_open(Socket *s, int is_client, char *ip, int length) {
    (void) ip; (void) length;
    struct data *data = data_of(s);
    data->magic = 77;
    data->is_client = is_client;
    int *count = is_client ? &clients : &servers;
    data->number = *count;
    if (*count < EACH_MAX) (is_client ? client : server)[*count] = s;
    ++*count;
    return on.open ? on.open(s, is_client) : s;
}
static inline Socket *on_data(Socket *s, char *d, int n) { return on.data ? on.data(s, d, n) : s; }
static inline Socket *on_second_data(Socket *s, char *d, int n) {
    return on.second_data ? on.second_data(s, d, n) : s;
}
static inline Socket *on_writable(Socket *s) { return on.writable ? on.writable(s) : s; }
static inline Socket *on_end(Socket *s) { return on.end ? on.end(s) : us_socket_close(0, s, 0, 0); }
static inline Socket *on_close(Socket *s, int code, void *reason) {
    closes++;
    return on.close ? on.close(s, code, reason) : s;
}
static inline Socket *on_timeout(Socket *s) { return on.timeout ? on.timeout(s) : s; }
static inline Socket *on_long(Socket *s) { return on.long_timeout ? on.long_timeout(s) : s; }
static inline Socket *on_connect_error(Socket *s, int code) {
    return on.connect_error ? on.connect_error(s, code) : s;
}
static inline void on_wake(struct us_loop_t *l) { (void) l; if (on.wake) on.wake(); }
static inline void on_pre(struct us_loop_t *l) { (void) l; if (on.pre) on.pre(); }
static inline void on_post(struct us_loop_t *l) { (void) l; if (on.post) on.post(); }

static inline void set_callbacks(Context *c, Socket *(*data)(Socket *, char *, int)) {
    us_socket_context_on_open(0, c, on_open);
    us_socket_context_on_data(0, c, data);
    us_socket_context_on_writable(0, c, on_writable);
    us_socket_context_on_end(0, c, on_end);
    us_socket_context_on_close(0, c, on_close);
    us_socket_context_on_timeout(0, c, on_timeout);
    us_socket_context_on_long_timeout(0, c, on_long);
    us_socket_context_on_connect_error(0, c, on_connect_error);
}

static inline void listen_at(const char *host) {
    listener = us_socket_context_listen(0, context, host, 0, 0, sizeof(struct data));
    port = listener ? us_socket_local_port(0, (Socket *) listener) : -1;
}

static inline Socket *connect_one(void) {
    return us_socket_context_connect(0, context, "127.0.0.1", port, NULL, 0, sizeof(struct data));
}

/* Starts a test with so many connections. */
static inline void begin(const char *name, int connections) {
    SAY("-- %s", name);
    memset(&on, 0, sizeof on);
    servers = clients = closes = 0;
    struct us_socket_context_options_t options;
    memset(&options, 0, sizeof options);
    loop = us_create_loop(NULL, on_wake, on_pre, on_post, 0);
    context = us_create_socket_context(0, loop, 0, options);
    second = us_create_child_socket_context(0, context, 64);
    set_callbacks(context, on_data);
    set_callbacks(second, on_second_data);
    listen_at("127.0.0.1");
    for (int i = 0; i < connections; i++) connect_one();
}

/* Runs the loop to its end, and frees everything. */
static inline void finish(void) {
    us_loop_run(loop);
    us_socket_context_free(0, second);
    us_socket_context_free(0, context);
    us_loop_free(loop);
    SAY("opened %d and %d, closed %d", servers, clients, closes);
}

static inline void close_everything(void) {
    us_socket_context_close(0, context);
    us_socket_context_close(0, second);
}

static inline Timer *after(int ms, void (*callback)(Timer *)) {
    Timer *timer = us_create_timer(loop, 0, 0);
    us_timer_set(timer, callback, ms, 0);
    return timer;
}

#endif
