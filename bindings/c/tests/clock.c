/* What is set after a wait counts from the time after it, whatever was asked before. */
#include "harness.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static pthread_t thread;
static Socket *ended;
static double start;
static int is_waiting;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

/* A peer that ends, and does not go away before the wait is over. */
static int peer(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at;
    memset(&at, 0, sizeof at);
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *) &at, sizeof at)) SAY("the peer does not connect");
    shutdown(fd, SHUT_WR);
    return fd;
}

static void *wake_later(void *unused) {
    (void) unused;
    usleep(600000);
    start = now();
    us_wakeup_loop(loop);
    return NULL;
}

static Socket *keep(Socket *s) {
    ended = s;
    return s;
}

/* The loop closes it, as both directions have ended, and tells before it waits. */
static void shut_down(void) {
    if (!ended || is_waiting) return;
    is_waiting = 1;
    us_socket_shutdown(0, ended);
}

static Socket *ask_the_time(Socket *s, int code, void *reason) {
    (void) code; (void) reason;
    if (s != ended) return s;
    us_socket_timeout(0, client[0], 100);
    pthread_create(&thread, NULL, wake_later, NULL);
    return s;
}

static void set(void) { us_socket_timeout(0, client[0], 1); }

static Socket *tell(Socket *s) {
    double passed = now() - start;
    SAY("a second of a timeout that was set after a long wait: %d",
        passed > 0.99999 && passed < 11);
    ended = NULL;
    close_everything();
    return s;
}

int main(void) {
    /* (W13) */
    begin("a time from before the wait", 1);
    on.end = keep; on.pre = shut_down; on.close = ask_the_time; on.wake = set; on.timeout = tell;
    int fd = peer();
    finish();
    pthread_join(thread, NULL);
    close(fd);
    return 0;
}
/* Prints:
-- a time from before the wait
a second of a timeout that was set after a long wait: 1
opened 2 and 1, closed 3
*/
