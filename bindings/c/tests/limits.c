/* What happens without sockets, descriptors or memory, and without callbacks. Built with a library
 * of eight sockets for "a full pool". */
#include "harness.h"
#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static Socket *opened_count(Socket *s, int is_client) {
    (void) is_client;
    return s;
}

static void close_two(Timer *timer) {
    us_timer_close(timer);
    us_socket_close(0, client[0], 0, 0);
    us_socket_close(0, client[1], 0, 0);
}

static void close_later(Timer *timer) {
    us_timer_close(timer);
    SAY("open in the end: %d and %d", servers, clients);
    close_everything();
}

/* One listener and seven connects fill it: the connections that wait are taken as sockets close.
 * The first two are those of the two that closed, whose ends let in two others. */
/* (W3, W15) */
static void full_pool(void) {
    begin("a full pool", 7);
    Socket *one_more = connect_one();
    SAY("room %u; one more connects %d, errno %d", us_loop_statistics(loop).capacity,
        one_more != NULL, errno == ENOMEM);
    Timer *timers[64];
    int next = dup(0);
    close(next);
    for (int i = 0; i < 64; i++) {
        timers[i] = us_create_timer(loop, 1, 0);
        us_timer_set(timers[i], us_timer_close, 60000 + i, 0);
    }
    int now_next = dup(0);
    close(now_next);
    SAY("timers take no room %d, no descriptors %d", timers[63] != NULL, next == now_next);
    for (int i = 0; i < 64; i++) us_timer_close(timers[i]);
    on.open = opened_count;
    after(50, close_two);
    after(300, close_later);
    us_loop_run(loop);
    SAY("paused %d", us_loop_statistics(loop).pauses > 0);
    finish();
}

/* (W3, W23) */
static void no_descriptors(void) {
    begin("no descriptors", 0);
    struct rlimit before, now;
    getrlimit(RLIMIT_NOFILE, &before);
    int last = dup(0);
    now = before;
    now.rlim_cur = last + 1;
    setrlimit(RLIMIT_NOFILE, &now);
    SAY("connects %d, listens %d, makes a loop %d", connect_one() != NULL,
        us_socket_context_listen(0, context, "127.0.0.1", 0, 0, 0) != NULL,
        us_create_loop(NULL, on_wake, on_pre, on_post, 0) != NULL);
    /* One for the connecting end, none for the accepted one: the listener waits. */
    close(last);
    connect_one();
    long long first = us_loop_iteration_number(loop);
    on.open = opened_count;
    for (int i = 0; i < 3; i++) {
        Timer *timer = us_create_timer(loop, 1, 0);
        us_timer_set(timer, us_timer_close, 100, 0);
        us_loop_poll(loop);
        usleep(110000);
        us_loop_poll(loop);
    }
    SAY("opened %d and %d, turns %d", servers, clients,
        us_loop_iteration_number(loop) - first < 100);
    setrlimit(RLIMIT_NOFILE, &before);
    after(400, close_later);
    finish();
}

/* (W23) */
static void no_memory(void) {
    SAY("-- no memory");
    struct rlimit before, now;
    getrlimit(RLIMIT_AS, &before);
    now = before;
    now.rlim_cur = 1 << 20;
    setrlimit(RLIMIT_AS, &now);
    struct us_loop_t *none = us_create_loop(NULL, on_wake, on_pre, on_post, 0);
    setrlimit(RLIMIT_AS, &before);
    SAY("makes a loop %d", none != NULL);
    begin("no memory for a block", 0);
    enum { HUGE = 0x7fffffff };
    struct us_socket_context_options_t options;
    memset(&options, 0, sizeof options);
    now.rlim_cur = 1 << 20;
    setrlimit(RLIMIT_AS, &now);
    Context *context_of_none = us_create_socket_context(0, loop, HUGE, options);
    Timer *timer = us_create_timer(loop, 0, HUGE);
    Socket *socket_of_none =
        us_socket_context_connect(0, context, "127.0.0.1", port, NULL, 0, HUGE);
    setrlimit(RLIMIT_AS, &before);
    SAY("context %d, timer %d, socket %d", context_of_none != NULL, timer != NULL,
        socket_of_none != NULL);
    /* The peer of the socket that found no memory was accepted all the same. */
    connect_one();
    after(100, close_later);
    finish();
}

/* (W23) */
static void no_callbacks(void) {
    SAY("-- no callbacks");
    struct us_socket_context_options_t options;
    memset(&options, 0, sizeof options);
    loop = us_create_loop(NULL, NULL, NULL, NULL, 0);
    context = us_create_socket_context(0, loop, 0, options);
    listen_at("127.0.0.1");
    Socket *s = connect_one();
    us_socket_context_connect(0, context, "127.0.0.1", 1, NULL, 0, 0);
    for (int i = 0; i < 20; i++) us_loop_poll(loop);
    SAY("established %d, written %d", us_socket_is_established(0, s),
        us_socket_write(0, s, "x", 1, 0));
    us_socket_timeout(0, s, 1);
    us_socket_long_timeout(0, s, 1);
    us_wakeup_loop(loop);
    Timer *timer = us_create_timer(loop, 0, 0);
    us_timer_set(timer, NULL, 1, 0);
    for (int i = 0; i < 20; i++) us_loop_poll(loop);
    us_timer_close(timer);
    us_socket_shutdown(0, s);
    us_listen_socket_close(0, listener);
    us_loop_run(loop);
    SAY("everything closed %d", us_loop_statistics(loop).open == 0);
    us_socket_context_free(0, context);
    us_loop_free(loop);
}

int main(void) {
    full_pool();
    no_descriptors();
    if (!getenv("NO_LIMIT")) no_memory();
    no_callbacks();
    return 0;
}
/* Prints:
-- a full pool
room 8; one more connects 0, errno 1
timers take no room 1, no descriptors 1
open in the end: 4 and 7
paused 1
opened 4 and 7, closed 11
-- no descriptors
connects 0, listens 0, makes a loop 0
opened 0 and 1, turns 1
open in the end: 1 and 1
opened 1 and 1, closed 2
-- no memory
makes a loop 0
-- no memory for a block
context 0, timer 0, socket 0
open in the end: 2 and 1
opened 2 and 1, closed 3
-- no callbacks
established 1, written 1
everything closed 1
*/
