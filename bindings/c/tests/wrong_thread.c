/* A call from a thread that is not the loop's ends the program, in debug builds of the library. */
#include "harness.h"
#include <pthread.h>

static void *call(void *s) {
    us_socket_write(0, (Socket *) s, "x", 1, 0);
    SAY("not reached");
    return NULL;
}

static Socket *start(Socket *s, int is_client) {
    (void) is_client;
    SAY("calls");
    pthread_t thread;
    pthread_create(&thread, NULL, call, s);
    pthread_join(thread, NULL);
    return s;
}

int main(void) {
    begin("a wrong thread", 1);
    on.open = start;
    finish();
    return 0;
}
/* Prints:
-- a wrong thread
calls
*/
