/* Names with several addresses, of which some answer and some do not. test.sh has a list of hosts
 * for it: many.test is at 127.0.0.2, 127.0.0.3 and 127.0.0.4, none.test at the first two,
 * both.test at ::1, which no interface has, and 127.0.0.1. The resolver puts first what is nearest to
 * 127.0.0.1. */
#include "harness.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static Socket *wanted;

static void begin_at(const char *name, const char *host) {
    begin(name, 0);
    us_listen_socket_close(0, listener);
    listen_at(host);
}

static Socket *connect_name(const char *host) {
    return wanted = us_socket_context_connect(0, context, host, port, NULL, 0,
        sizeof(struct data));
}

static Socket *close_server(Socket *s, int is_client) {
    if (is_client) {
        SAY("opened the socket that was made: %d, in the second context %d", s == wanted,
            us_socket_context(0, s) == second);
        return s;
    }
    us_listen_socket_close(0, listener);
    return us_socket_close(0, s, 0, 0);
}

static Socket *say_error(Socket *s, int code) {
    SAY("on_connect_error %d, reason %d", code, us_socket_close_reason(0, s));
    us_listen_socket_close(0, listener);
    return s;
}

/* A listener at the first address whose queue is full answers nothing, and the kernel, which was told
 * to try twice, gives up after three seconds. */
static int deaf, filler[2];

static int make_deaf(void) {
    struct sockaddr_in at;
    memset(&at, 0, sizeof at);
    at.sin_family = AF_INET;
    at.sin_port = htons((unsigned short) port);
    at.sin_addr.s_addr = htonl(0x7f000002);
    deaf = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(deaf, (struct sockaddr *) &at, sizeof at) || listen(deaf, 0)) return 0;
    for (int i = 0; i < 2; i++) {
        filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(filler[i], (struct sockaddr *) &at, sizeof at);
    }
    return 1;
}

static Socket *too_early(Socket *s) {
    SAY("on_timeout");
    return s;
}

static Socket *say_reason(Socket *s, int code) {
    SAY("on_connect_error %d, reason %d", code, us_socket_close_reason(0, s));
    return s;
}

static void close_all(Timer *timer) {
    us_timer_close(timer);
    close_everything();
}

int main(void) {
    /* (W19) */
    begin_at("the last address answers", "127.0.0.4");
    connect_name("many.test");
    on.open = close_server; on.connect_error = say_error;
    finish();
    /* (W19) */
    begin("none answers", 0);
    us_socket_timeout(0, connect_name("none.test"), 100);
    on.open = close_server; on.connect_error = say_error;
    finish();
    begin("given up before any answers", 0);
    us_socket_close_connecting(0, connect_name("many.test"));
    us_listen_socket_close(0, listener);
    on.open = close_server; on.connect_error = say_error;
    finish();
    begin_at("moved before the last answers", "127.0.0.4");
    wanted = us_socket_context_adopt_socket(0, second, connect_name("many.test"), 4096);
    on.open = close_server; on.connect_error = say_error;
    finish();
    begin("freed before any answers", 0);
    us_listen_socket_close(0, listener);
    connect_name("many.test");
    us_socket_context_close(0, context);
    finish();
    /* (W19) */
    begin("from an address of the other family", 0);
    us_listen_socket_close(0, listener);
    SAY("%d", us_socket_context_connect(0, context, "127.0.0.1", port, "::1", 0, 0) == NULL);
    finish();
    /* (W13, W19) */
    begin_at("an address that does not answer", "127.0.0.4");
    if (!make_deaf()) return 1;
    on.timeout = too_early; on.connect_error = say_reason;
    us_socket_timeout(0, connect_name("many.test"), 100);
    us_socket_timeout(0, connect_name("127.0.0.2"), 100);
    after(4500, close_all);
    finish();
    close(filler[0]);
    close(filler[1]);
    close(deaf);
    /* (W25) */
    begin_at("listens at the address that there is", "both.test");
    SAY("listens %d", listener != NULL);
    connect_one();
    on.open = close_server; on.connect_error = say_error;
    wanted = NULL;
    finish();
    return 0;
}
/* Prints:
-- the last address answers
opened the socket that was made: 1, in the second context 0
opened 1 and 1, closed 2
-- none answers
on_connect_error 0, reason 4
opened 0 and 0, closed 0
-- given up before any answers
opened 0 and 0, closed 0
-- moved before the last answers
opened the socket that was made: 1, in the second context 1
opened 1 and 1, closed 2
-- freed before any answers
opened 0 and 0, closed 0
-- from an address of the other family
1
opened 0 and 0, closed 0
-- an address that does not answer
on_connect_error 0, reason 2
opened 1 and 1, closed 2
-- listens at the address that there is
listens 1
opened the socket that was made: 0, in the second context 0
opened 1 and 1, closed 2
*/
