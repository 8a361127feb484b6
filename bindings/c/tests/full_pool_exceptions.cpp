// Exceptions out of on_pre_open and on_open, more of them than a library of eight sockets has
// sockets: each connection is reset, and its place is free again.
#include <libusockets.h>

#include <cstdio>

namespace {

enum { THROWN = 20 };

int port, thrown, opened, closed, failed;
bool throws, in_pre_open;

LIBUS_SOCKET_DESCRIPTOR on_pre_open(us_socket_context_t *, LIBUS_SOCKET_DESCRIPTOR fd, char *,
    int) {
    if (throws && in_pre_open) throw 1;
    return fd;
}

us_socket_t *on_open(us_socket_t *s, int is_client, char *, int) {
    if (is_client) return s;
    if (throws && !in_pre_open) throw 2;
    opened++;
    return s;
}

us_socket_t *on_close(us_socket_t *s, int, void *) {
    closed++;
    return s;
}

us_socket_t *on_connect_error(us_socket_t *s, int) {
    failed++;
    return s;
}

// Runs the loop until `done`, and counts what is thrown out of it.
template <typename Done> void run_until(us_loop_t *loop, Done done) {
    for (int i = 0; i < 10000 && !done(); i++) {
        try {
            us_loop_poll(loop);
        } catch (int) {
            thrown++;
        }
    }
}

// Lets so many connections come whose callback throws, one by one, and then one that opens.
void test(us_loop_t *loop, us_socket_context_t *context, const char *name) {
    thrown = opened = closed = failed = 0;
    throws = true;
    for (int i = 0; i < THROWN; i++) {
        us_socket_context_connect(0, context, "127.0.0.1", port, nullptr, 0, 0);
        run_until(loop, [&] { return closed + failed > i; });
    }
    throws = false;
    us_socket_t *s = us_socket_context_connect(0, context, "127.0.0.1", port, nullptr, 0, 0);
    run_until(loop, [] { return opened > 0; });
    std::printf("%s: thrown %d, reset %d, then opened %d\n", name, thrown, closed + failed, opened);
    us_socket_close(0, s, 0, nullptr);
    run_until(loop, [loop] { return us_loop_statistics(loop).open == 0; });
}

} // namespace

int main() {
    us_loop_t *loop = us_create_loop(nullptr, nullptr, nullptr, nullptr, 0);
    us_socket_context_t *context =
        us_create_socket_context(0, loop, 0, us_socket_context_options_t());
    us_socket_context_on_pre_open(0, context, on_pre_open);
    us_socket_context_on_open(0, context, on_open);
    us_socket_context_on_close(0, context, on_close);
    us_socket_context_on_connect_error(0, context, on_connect_error);
    us_listen_socket_t *listener =
        us_socket_context_listen(0, context, "127.0.0.1", 0, 0, 0);
    port = us_socket_local_port(0, reinterpret_cast<us_socket_t *>(listener));
    std::printf("room %u\n", us_loop_statistics(loop).capacity);
    in_pre_open = true;
    test(loop, context, "on_pre_open");
    in_pre_open = false;
    test(loop, context, "on_open");
    us_listen_socket_close(0, listener);
    us_loop_run(loop);
    std::printf("the loop ends\n");
    us_socket_context_free(0, context);
    us_loop_free(loop);
    return 0;
}
/* Prints:
room 8
on_pre_open: thrown 20, reset 20, then opened 1
on_open: thrown 20, reset 20, then opened 1
the loop ends
*/
