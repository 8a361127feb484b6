/* Loops on a dispatch queue: sockets, timers, timeouts and wake-ups, without us_loop_run. */
#include "harness.h"
#include "dispatch.h"
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

static struct queue queue;
static int done, fired;
static uint64_t start;

static uint64_t millis(void) { return dispatch_time(0, 0) / 1000000; }

static void begin_on_queue(const char *name) {
    SAY("-- %s", name);
    memset(&on, 0, sizeof on);
    servers = clients = closes = done = 0;
    struct us_socket_context_options_t options;
    memset(&options, 0, sizeof options);
    loop = us_create_loop(&queue, on_wake, on_pre, on_post, 0);
    context = us_create_socket_context(0, loop, 0, options);
    set_callbacks(context, on_data);
    listen_at("127.0.0.1");
    /* Returns at once: the queue runs it. */
    us_loop_run(loop);
}

static void finish_on_queue(void) {
    run_queue(&queue, 20000, &done);
    us_listen_socket_close(0, listener);
    us_socket_context_close(0, context);
    us_socket_context_free(0, context);
    us_loop_free(loop);
    int never = 0;
    run_queue(&queue, 20, &never);
    SAY("opened %d and %d, closed %d; sources left %d", servers, clients, closes, queue.count);
}

static Socket *echo(Socket *s, char *data, int length) {
    us_socket_write(0, s, data, length, 0);
    if (data_of(s)->is_client) {
        SAY("the client got %.*s", length, data);
        us_socket_close(0, s, 0, NULL);
    }
    return s;
}

static Socket *greet(Socket *s, int is_client) {
    if (is_client) us_socket_write(0, s, "hello", 5, 0);
    return s;
}

static Socket *closed(Socket *s, int code, void *reason) {
    (void) code; (void) reason;
    if (closes == 2) done = 1;
    return s;
}

static void fire(Timer *timer) {
    uint64_t passed = millis() - start;
    fired++;
    SAY("timer %d, in time %d", fired, passed >= 20u * (unsigned) fired && passed < 15000);
    if (fired == 2) {
        us_timer_close(timer);
        done = 1;
    }
}

static Socket *timed_out(Socket *s) {
    uint64_t passed = millis() - start;
    SAY("timeout, in time %d", passed >= 1000 && passed < 15000);
    done = 1;
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

static int turns;

static void count_turns(void) { turns++; }

static void woken(void) {
    SAY("woken");
    done = 1;
}

int main(void) {
    begin_on_queue("sockets");
    on.open = greet;
    on.data = echo;
    on.close = closed;
    connect_one();
    finish_on_queue();

    /* Nothing but what the program does between iterations has the queue look. */
    begin_on_queue("a timer");
    start = millis();
    us_timer_set(us_create_timer(loop, 0, 0), fire, 20, 20);
    finish_on_queue();

    begin_on_queue("a timeout");
    on.open = set_timeout;
    on.timeout = timed_out;
    start = millis();
    connect_one();
    finish_on_queue();

    begin_on_queue("wake-ups");
    on.wake = woken;
    pthread_t thread;
    pthread_create(&thread, NULL, wake, NULL);
    pthread_join(thread, NULL);
    finish_on_queue();

    /* The queue does not call a loop for ever that cannot wait any more. */
    begin_on_queue("a loop that is broken");
    int nothing = open("/dev/null", O_RDONLY), never = 0;
    dup2(nothing, us_loop_fd(loop));
    close(nothing);
    on.pre = count_turns;
    us_wakeup_loop(loop);
    run_queue(&queue, 100, &never);
    SAY("turns %d", turns);
    done = 1;
    finish_on_queue();

    begin("without a hint", 1);
    on.open = greet;
    on.data = echo;
    on.close = closed;
    us_listen_socket_close(0, listener);
    close_everything();
    finish();
    return 0;
}
/* Prints:
-- sockets
the client got hello
opened 1 and 1, closed 2; sources left 0
-- a timer
timer 1, in time 1
timer 2, in time 1
opened 0 and 0, closed 0; sources left 0
-- a timeout
timeout, in time 1
opened 1 and 1, closed 2; sources left 0
-- wake-ups
woken
opened 0 and 0, closed 0; sources left 0
-- a loop that is broken
turns 1
opened 0 and 0, closed 0; sources left 0
-- without a hint
opened 0 and 0, closed 0
*/
