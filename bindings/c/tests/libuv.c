/* Loops inside of libuv's: sockets, timers, wake-ups and libuv's own in one uv_run. */
#include "harness.h"
#include <pthread.h>
#include <time.h>
#include <uv.h>

static uv_loop_t uv;
static uv_timer_t own;
static int ticks;

static void begin_inside(const char *name) {
    SAY("-- %s", name);
    memset(&on, 0, sizeof on);
    servers = clients = closes = 0;
    struct us_socket_context_options_t options;
    memset(&options, 0, sizeof options);
    loop = us_create_loop(&uv, on_wake, on_pre, on_post, 0);
    context = us_create_socket_context(0, loop, 0, options);
    set_callbacks(context, on_data);
    SAY("runs empty: %d", uv_run(&uv, UV_RUN_DEFAULT));
    listen_at("127.0.0.1");
}

static void finish_inside(void) {
    us_socket_context_free(0, context);
    us_loop_free(loop);
    SAY("opened %d and %d, closed %d", servers, clients, closes);
}

static Socket *echo(Socket *s, char *data, int length) {
    us_socket_write(0, s, data, length, 0);
    if (data_of(s)->is_client) {
        SAY("the client got %.*s", length, data);
        us_socket_close(0, s, 0, NULL);
        us_listen_socket_close(0, listener);
    }
    return s;
}

static Socket *greet(Socket *s, int is_client) {
    if (is_client) us_socket_write(0, s, "hello", 5, 0);
    return s;
}

static void tick(uv_timer_t *timer) {
    if (++ticks == 3) uv_close((uv_handle_t *) timer, NULL);
}

static uint64_t millis(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

static uint64_t start;
static int fired;

static void fire(Timer *timer) {
    uint64_t passed = millis() - start;
    fired++;
    SAY("timer %d, in time %d", fired, passed >= 20u * (unsigned) fired && passed < 5000);
    if (fired == 2) us_timer_close(timer);
}

static Socket *timed_out(Socket *s) {
    uint64_t passed = millis() - start;
    SAY("timeout, in time %d", passed >= 1000 && passed < 5000);
    us_listen_socket_close(0, listener);
    return us_socket_close(0, s, 0, NULL);
}

static Socket *set_timeout(Socket *s, int is_client) {
    if (!is_client) us_socket_timeout(0, s, 1);
    return s;
}

static void *wake(void *unused) {
    (void) unused;
    us_wakeup_loop(loop);
    return NULL;
}

static void woken(void) {
    SAY("woken");
    us_listen_socket_close(0, listener);
}

/* Of libuv's own, outside of every iteration of the loop. */
static void connect_later(uv_timer_t *timer) {
    connect_one();
    start = millis();
    us_timer_set(us_create_timer(loop, 0, 0), fire, 20, 20);
    uv_close((uv_handle_t *) timer, NULL);
}

int main(void) {
    uv_loop_init(&uv);

    begin_inside("beside libuv's own");
    on.open = greet;
    on.data = echo;
    connect_one();
    uv_timer_init(&uv, &own);
    uv_timer_start(&own, tick, 1, 1);
    int left = uv_run(&uv, UV_RUN_DEFAULT);
    SAY("uv_run: %d, ticks of libuv's: %d", left, ticks);
    finish_inside();

    begin_inside("made by a callback of libuv's, run by the loop");
    on.open = greet;
    on.data = echo;
    uv_timer_init(&uv, &own);
    uv_timer_start(&own, connect_later, 5, 0);
    us_loop_run(loop);
    finish_inside();

    begin_inside("timeouts");
    on.open = set_timeout;
    on.timeout = timed_out;
    start = millis();
    connect_one();
    uv_run(&uv, UV_RUN_DEFAULT);
    finish_inside();

    begin_inside("wake-ups");
    on.wake = woken;
    pthread_t thread;
    pthread_create(&thread, NULL, wake, NULL);
    uv_run(&uv, UV_RUN_DEFAULT);
    pthread_join(thread, NULL);
    finish_inside();

    begin_inside("freed with everything open");
    connect_one();
    us_loop_poll(loop);
    finish_inside();

    left = uv_run(&uv, UV_RUN_DEFAULT);
    SAY("libuv's: %d %d", left, uv_loop_close(&uv));
    begin("without a hint", 1);
    on.open = greet;
    on.data = echo;
    finish();
    return 0;
}

/* Prints:
-- beside libuv's own
runs empty: 0
the client got hello
uv_run: 0, ticks of libuv's: 3
opened 1 and 1, closed 2
-- made by a callback of libuv's, run by the loop
runs empty: 0
the client got hello
timer 1, in time 1
timer 2, in time 1
opened 1 and 1, closed 2
-- timeouts
runs empty: 0
timeout, in time 1
opened 1 and 1, closed 2
-- wake-ups
runs empty: 0
woken
opened 0 and 0, closed 0
-- freed with everything open
runs empty: 0
opened 1 and 1, closed 0
libuv's: 0 0
-- without a hint
the client got hello
opened 1 and 1, closed 2
*/
