/* Loops: wake-ups from threads, many loops, runs inside of runs, and loops of others. */
#include "harness.h"
#include <poll.h>
#include <pthread.h>
#include <time.h>

enum { THREADS = 4, WAKES = 1000 };
static int target, wakes;

static void *storm(void *l) {
    for (int i = 0; i < WAKES; i++) {
        __atomic_add_fetch(&target, 1, __ATOMIC_RELEASE);
        us_wakeup_loop((struct us_loop_t *) l);
    }
    return NULL;
}

static void seen_all(void) {
    wakes++;
    if (__atomic_load_n(&target, __ATOMIC_ACQUIRE) == THREADS * WAKES && listener) {
        us_listen_socket_close(0, listener);
        listener = NULL;
    }
}

static int pres, posts;
static long long first, last;
static void count_pre(void) {
    pres++;
    if (!first) first = us_loop_iteration_number(loop);
    last = us_loop_iteration_number(loop);
}
static void count_post(void) { posts++; }

static void run_inside(Timer *timer) {
    us_timer_close(timer);
    us_loop_run(loop);
    SAY("a run inside returned, a poll inside says %d", us_loop_poll(loop));
    us_listen_socket_close(0, listener);
}

static Socket *close_it(Socket *s, int is_client) {
    if (is_client) return s;
    us_listen_socket_close(0, listener);
    return us_socket_close(0, s, 0, 0);
}

/* Runs a loop from a loop of the program's own. */
static void drive(void) {
    int turns = 0, wait;
    while ((wait = us_loop_poll(loop)) != -1 || us_loop_statistics(loop).open > 0) {
        struct pollfd one = {us_loop_fd(loop), POLLIN, 0};
        poll(&one, 1, wait);
        if (++turns > 10000) break;
    }
    SAY("turns %d", turns > 0 && turns <= 10000);
}

static Socket *time_it(Socket *s, int is_client) {
    if (!is_client) us_socket_timeout(0, s, 1);
    return s;
}

static Socket *all_over(Socket *s) {
    SAY("on_timeout");
    close_everything();
    return s;
}

static void none(struct us_loop_t *l) { (void) l; }

static void *whole_loop(void *out) {
    struct us_loop_t *own = us_create_loop(NULL, none, none, none, 8);
    if (!own) return NULL;
    *(long *) us_loop_ext(own) = 5;
    us_loop_run(own);
    *(int *) out = *(long *) us_loop_ext(own) == 5;
    us_loop_free(own);
    return NULL;
}

static Timer *given_up;
static int times_woken;

static void pass(Timer *timer) { (void) timer; }

static void fire(Timer *timer) {
    SAY("fired");
    us_timer_close(timer);
    us_listen_socket_close(0, listener);
}

static void give_up_then_set(void) {
    if (++times_woken == 1) us_timer_close(given_up);
    else after(100, fire);
}

static void *wake_twice(void *unused) {
    (void) unused;
    struct timespec little = {0, 20000000}, more = {0, 230000000};
    nanosleep(&little, NULL);
    us_wakeup_loop(loop);
    nanosleep(&more, NULL);
    us_wakeup_loop(loop);
    return NULL;
}

int main(void) {
    begin("wake-ups from threads", 0);
    on.wake = seen_all; on.pre = count_pre; on.post = count_post;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, storm, loop);
    us_loop_run(loop);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    SAY("all seen %d, woken %d; as many pre as post %d, iterations %d", target == THREADS * WAKES,
        wakes > 0, pres == posts, last - first + 1 == pres);
    listener = NULL;
    finish();

    begin("a run inside of a run", 0);
    after(10, run_inside);
    finish();

    begin("running twice", 1);
    on.open = close_it;
    us_loop_run(loop);
    SAY("closed %d", closes);
    listen_at("127.0.0.1");
    connect_one();
    finish();

    begin("a loop of the program's own", 1);
    on.open = time_it; on.timeout = all_over;
    drive();
    struct us_loop_statistics_t statistics = us_loop_statistics(loop);
    SAY("accepted %llu, connected %llu, open %u, room %d", statistics.accepted,
        statistics.connected, statistics.open, statistics.capacity > 0);
    finish();

    /* (W14) */
    begin("nothing ticks in an idle loop", 1);
    for (int i = 0; i < 1000 && (!servers || !clients); i++) us_loop_poll(loop);
    /* The time to open is over once more, and before it at most a turn of the wheel that holds it. */
    int idle = 0;
    for (int i = 0; i < 1000 && idle != -1 && idle <= 4000; i++) {
        struct pollfd one = {us_loop_fd(loop), POLLIN, 0};
        poll(&one, 1, 10);
        idle = us_loop_poll(loop);
    }
    us_socket_timeout(0, server[0], 100);
    int timed = us_loop_poll(loop);
    SAY("not within 4 s %d, with a timeout of 100 s %d", idle == -1 || idle > 4000, timed > 4000);
    close_everything();
    finish();

    begin("a time that passes after it was given up", 0);
    given_up = after(100, pass);
    on.wake = give_up_then_set;
    pthread_create(&threads[0], NULL, wake_twice, NULL);
    us_loop_run(loop);
    pthread_join(threads[0], NULL);
    finish();

    begin("integrating", 0);
    us_loop_integrate(loop);
    us_listen_socket_close(0, listener);
    finish();

    SAY("-- two hundred loops");
    enum { LOOPS = 200 };
    struct us_loop_t *many[LOOPS];
    int made = 0;
    for (int i = 0; i < LOOPS; i++) {
        many[i] = us_create_loop(NULL, none, none, none, 8);
        made += many[i] != NULL;
    }
    for (int i = 0; i < LOOPS; i++) if (many[i]) us_loop_free(many[i]);
    SAY("%d", made);

    SAY("-- a loop for each thread");
    int good[THREADS] = {0};
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, whole_loop, &good[i]);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    SAY("%d", good[0] + good[1] + good[2] + good[3]);

    begin("a loop freed with everything open", 3);
    for (int i = 0; i < 100 && servers < 3; i++) us_loop_poll(loop);
    us_socket_close(0, server[0], 0, 0);
    us_socket_context_free(0, second);
    us_socket_context_free(0, context);
    us_loop_free(loop);
    SAY("opened %d, closed by a call %d", servers, closes);
    return 0;
}
/* Prints:
-- wake-ups from threads
all seen 1, woken 1; as many pre as post 1, iterations 1
opened 0 and 0, closed 0
-- a run inside of a run
a run inside returned, a poll inside says -1
opened 0 and 0, closed 0
-- running twice
closed 2
opened 2 and 2, closed 4
-- a loop of the program's own
on_timeout
turns 1
accepted 1, connected 1, open 0, room 1
opened 1 and 1, closed 2
-- nothing ticks in an idle loop
not within 4 s 1, with a timeout of 100 s 1
opened 1 and 1, closed 2
-- a time that passes after it was given up
fired
opened 0 and 0, closed 0
-- integrating
opened 0 and 0, closed 0
-- two hundred loops
200
-- a loop for each thread
4
-- a loop freed with everything open
opened 3, closed by a call 1
*/
