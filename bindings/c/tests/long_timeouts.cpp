// (W13)
// The long timeout, of a minute at least: it is not early, and an exception may leave it.
#include <libusockets.h>

#include <cstdio>
#include <ctime>

namespace {

us_socket_t *client;
double start;
int port;

double now() {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return double(time.tv_sec) + double(time.tv_nsec) / 1e9;
}

us_socket_t *on_open(us_socket_t *s, int is_client, char *, int) {
    if (is_client) {
        start = now();
        us_socket_long_timeout(0, s, 1);
        client = s;
    }
    return s;
}

us_socket_t *on_data(us_socket_t *s, char *, int length) {
    std::printf("%d bytes came\n", length);
    us_socket_context_close(0, us_socket_context(0, s));
    return s;
}

us_socket_t *on_long_timeout(us_socket_t *) {
    double passed = now() - start;
    std::printf("on_long_timeout after its minute %d\n", passed > 59.99 && passed < 80);
    throw 1;
}

} // namespace

int main() {
    us_loop_t *loop = us_create_loop(nullptr, nullptr, nullptr, nullptr, 0);
    us_socket_context_t *context =
        us_create_socket_context(0, loop, 0, us_socket_context_options_t());
    us_socket_context_on_open(0, context, on_open);
    us_socket_context_on_data(0, context, on_data);
    us_socket_context_on_long_timeout(0, context, on_long_timeout);
    us_listen_socket_t *listener = us_socket_context_listen(0, context, "127.0.0.1", 0, 0, 0);
    port = us_socket_local_port(0, reinterpret_cast<us_socket_t *>(listener));
    us_socket_context_connect(0, context, "127.0.0.1", port, nullptr, 0, 0);
    int caught = 0;
    try {
        us_loop_run(loop);
    } catch (int) {
        caught++;
    }
    us_socket_write(0, client, "on", 2, 0);
    us_loop_run(loop);
    std::printf("caught %d\n", caught);
    us_socket_context_free(0, context);
    us_loop_free(loop);
    return 0;
}
/* Prints:
on_long_timeout after its minute 1
2 bytes came
caught 1
*/
