// Exceptions out of every callback: they leave us_loop_run, and the loop goes on.
#include <libusockets.h>

#include <cstdio>
#include <ctime>
#include <string>

namespace {

us_loop_t *loop;
us_socket_context_t *context;
us_listen_socket_t *listener;
us_timer_t *timer;
int port;
us_socket_t *server, *client, *awaited;
int closes;
std::size_t received;
// Which callback is to throw, once.
std::string which;

void thrower(const char *name) {
    if (which == name) {
        which = "";
        throw std::string(name);
    }
}

us_socket_t *on_open(us_socket_t *s, int is_client, char *, int) {
    *static_cast<int *>(us_socket_ext(0, s)) = is_client;
    if (!is_client) thrower("on_open");
    // A connection that a test before gave up may still open.
    if (!is_client) server = s;
    if (s == awaited) client = s;
    return s;
}

us_socket_t *on_data(us_socket_t *s, char *, int length) {
    received += length;
    thrower("on_data");
    return s;
}

us_socket_t *on_writable(us_socket_t *s) {
    thrower("on_writable");
    return s;
}

us_socket_t *on_end(us_socket_t *s) {
    thrower("on_end");
    return us_socket_close(0, s, 0, nullptr);
}

us_socket_t *on_close(us_socket_t *s, int code, void *) {
    closes++;
    if (s == client) client = nullptr;
    if (s == server) server = nullptr;
    thrower(code ? "on_close by us_socket_close" : "on_close");
    return s;
}

us_socket_t *on_timeout(us_socket_t *s) {
    thrower("on_timeout");
    return s;
}

us_socket_t *on_long_timeout(us_socket_t *s) { return s; }

us_socket_t *on_connect_error(us_socket_t *s, int) {
    thrower("on_connect_error");
    return s;
}

LIBUS_SOCKET_DESCRIPTOR on_pre_open(us_socket_context_t *, LIBUS_SOCKET_DESCRIPTOR fd, char *,
    int) {
    thrower("on_pre_open");
    return fd;
}

void on_wake(us_loop_t *) { thrower("wakeup_cb"); }
void on_pre(us_loop_t *) { thrower("pre_cb"); }
void on_post(us_loop_t *) { thrower("post_cb"); }
void on_timer(us_timer_t *) { thrower("a timer"); }

// Iterates until `done`, or for a second.
template <typename Done> void run_until(Done done) {
    for (int i = 0; i < 1000 && !done(); i++) {
        us_timer_set(timer, [](us_timer_t *) {}, 1, 0);
        us_loop_poll(loop);
        if (!done()) {
            struct timespec wait = {0, 1000000};
            nanosleep(&wait, nullptr);
        }
    }
}

us_socket_t *connect() {
    return us_socket_context_connect(0, context, "127.0.0.1", port, nullptr, 0, sizeof(int));
}

void open_both() {
    server = client = nullptr;
    awaited = connect();
    run_until([] { return server && client; });
}

void close_all() {
    if (client) us_socket_close(0, client, 0, nullptr);
    run_until([] { return !server && !client; });
}

// Has the callback throw in the course of `act`, and then sees to it that everything still works.
template <typename Act> void test(const char *name, Act act) {
    which = name;
    bool caught = false;
    try {
        act();
        run_until([] { return which.empty(); });
    } catch (const std::string &thrown) {
        caught = thrown == name;
    }
    which = "";
    close_all();
    open_both();
    received = 0;
    us_socket_write(0, client, "hello", 5, 0);
    us_socket_write(0, server, "hello", 5, 0);
    run_until([] { return received == 10; });
    bool works = received == 10;
    close_all();
    std::printf("%s: caught %d, goes on %d\n", name, caught, works);
    std::fflush(stdout);
}

} // namespace

int main() {
    loop = us_create_loop(nullptr, on_wake, on_pre, on_post, 0);
    context = us_create_socket_context(0, loop, 0, us_socket_context_options_t());
    us_socket_context_on_pre_open(0, context, on_pre_open);
    us_socket_context_on_open(0, context, on_open);
    us_socket_context_on_data(0, context, on_data);
    us_socket_context_on_writable(0, context, on_writable);
    us_socket_context_on_end(0, context, on_end);
    us_socket_context_on_close(0, context, on_close);
    us_socket_context_on_timeout(0, context, on_timeout);
    us_socket_context_on_long_timeout(0, context, on_long_timeout);
    us_socket_context_on_connect_error(0, context, on_connect_error);
    listener = us_socket_context_listen(0, context, "127.0.0.1", 0, 0, sizeof(int));
    port = us_socket_local_port(0, reinterpret_cast<us_socket_t *>(listener));
    timer = us_create_timer(loop, 1, 0);

    test("pre_cb", [] {});
    test("post_cb", [] {});
    test("wakeup_cb", [] { us_wakeup_loop(loop); });
    test("a timer", [] {
        us_timer_set(timer, on_timer, 1, 0);
        struct timespec wait = {0, 5000000};
        nanosleep(&wait, nullptr);
        us_loop_poll(loop);
    });
    test("on_pre_open", [] { connect(); });
    test("on_open", [] { connect(); });
    test("on_data", [] {
        open_both();
        us_socket_write(0, client, "x", 1, 0);
    });
    test("on_writable", [] {
        open_both();
        static char big[1 << 20];
        while (us_socket_write(0, client, big, sizeof big, 0) == sizeof big) {
        }
    });
    test("on_end", [] {
        open_both();
        us_socket_shutdown(0, client);
    });
    test("on_close", [] {
        open_both();
        us_socket_context_on_end(0, context, nullptr);
        us_socket_shutdown(0, client);
    });
    us_socket_context_on_end(0, context, on_end);
    test("on_close by us_socket_close", [] {
        open_both();
        us_socket_close(0, client, 1, nullptr);
    });
    test("on_timeout", [] {
        open_both();
        us_socket_timeout(0, client, 1);
    });
    test("on_connect_error", [] {
        us_socket_context_connect(0, context, "127.0.0.1", 1, nullptr, 0, sizeof(int));
    });

    // The timeout that another one's callback threw before is still armed.
    open_both();
    us_socket_timeout(0, client, 1);
    us_socket_long_timeout(0, client, 1);
    which = "on_timeout";
    try {
        run_until([] { return which.empty(); });
    } catch (const std::string &) {
    }
    us_timer_set(timer, nullptr, 0, 0);
    us_loop_poll(loop);
    int next = us_loop_poll(loop);
    std::printf("the other timeout is to come %d\n", next > 0);
    close_all();

    // A program may catch inside of a callback, which is about the same socket as before.
    open_both();
    static int reason;
    us_socket_context_on_end(0, context, nullptr);
    us_socket_context_on_close(0, context, [](us_socket_t *s, int code, void *) {
        if (code) throw std::string("inside");
        if (s == server) {
            try {
                us_socket_close(0, client, 1, nullptr);
            } catch (const std::string &) {
                reason = us_socket_close_reason(0, s);
            }
            server = client = nullptr;
        }
        return s;
    });
    us_socket_shutdown(0, client);
    run_until([] { return !server; });
    std::printf("the reason after an exception inside: %d\n", reason);
    us_socket_context_on_end(0, context, on_end);

    // What an interrupted iteration had not served is served by the next: a hundred sockets get
    // bytes at once, and each call throws.
    std::size_t sockets = 100, calls = 0, caught = 0;
    static std::size_t opened;
    us_socket_context_on_open(0, context, [](us_socket_t *s, int is_client, char *, int) {
        opened += 1;
        *static_cast<int *>(us_socket_ext(0, s)) = is_client;
        if (is_client) us_socket_write(0, s, "y", 1, 0);
        return s;
    });
    us_socket_context_on_data(0, context, [](us_socket_t *s, char *, int length) -> us_socket_t * {
        received += length;
        throw std::string("each");
        return s;
    });
    received = 0;
    for (std::size_t i = 0; i < sockets; i++) connect();
    for (calls = 0; calls < 10000 && received < sockets; calls++) {
        try {
            us_loop_poll(loop);
        } catch (const std::string &) {
            caught++;
        }
    }
    std::printf("of %zu calls %zu threw, for %zu sockets\n", received, caught, opened);
    us_socket_context_close(0, context);
    us_timer_close(timer);
    us_loop_run(loop);
    us_socket_context_free(0, context);
    us_loop_free(loop);
    return 0;
}
/* Prints:
pre_cb: caught 1, goes on 1
post_cb: caught 1, goes on 1
wakeup_cb: caught 1, goes on 1
a timer: caught 1, goes on 1
on_pre_open: caught 1, goes on 1
on_open: caught 1, goes on 1
on_data: caught 1, goes on 1
on_writable: caught 1, goes on 1
on_end: caught 1, goes on 1
on_close: caught 1, goes on 1
on_close by us_socket_close: caught 1, goes on 1
on_timeout: caught 1, goes on 1
on_connect_error: caught 1, goes on 1
the other timeout is to come 1
the reason after an exception inside: 1
of 100 calls 100 threw, for 200 sockets
*/
