/* TLS: certificates for names, contexts of their own, clients that verify, and ones that must be
 * verified. `tls FOLDER`, where test.sh has put the certificates. */
#include "harness.h"
#include <sys/socket.h>
#include <unistd.h>

static const char *folder;
static char paths[32][300];
static int path_count;

static const char *path(const char *file) {
    char *to = paths[path_count++ % 32];
    snprintf(to, sizeof paths[0], "%s/%s", folder, file);
    return to;
}

/* Options of who has such a certificate, and trusts such an authority. */
static struct us_socket_context_options_t who(const char *name, const char *authority) {
    struct us_socket_context_options_t options;
    memset(&options, 0, sizeof options);
    char file[64];
    if (name) {
        snprintf(file, sizeof file, "%s.pem", name);
        options.cert_file_name = path(file);
        snprintf(file, sizeof file, "%s.key", name);
        options.key_file_name = path(file);
    }
    if (authority) options.ca_file_name = path(authority);
    /* What has no meaning here does no harm. */
    options.passphrase = "1234";
    options.ssl_ciphers = "ALL";
    return options;
}

static Context *server_context, *client_context;
static int failed, server_number;
static long got;
static int users[4] = {0, 1, 2, 3};

static Socket *t_open(Socket *s, int is_client, char *ip, int length) {
    (void) ip; (void) length;
    int *user = (int *) us_socket_server_name_userdata(1, s);
    if (is_client) {
        clients++;
        us_socket_write(1, s, "hello", 5, 0);
    } else {
        servers++;
        server_number = user ? *user : -1;
    }
    return s;
}

static Socket *t_data(Socket *s, char *d, int n) {
    memset(d - LIBUS_RECV_BUFFER_PADDING, 1, LIBUS_RECV_BUFFER_PADDING);
    memset(d + n, 2, LIBUS_RECV_BUFFER_PADDING);
    got += n;
    if (us_socket_context(1, s) == server_context) {
        us_socket_write2(1, s, "HELLO ", 6, d, n);
    } else {
        us_socket_close(1, s, 0, 0);
    }
    return s;
}

static Socket *t_close(Socket *s, int code, void *reason) {
    (void) code; (void) reason;
    closes++;
    if (us_socket_close_reason(1, s) > LIBUS_REASON_FINISHED) {
        failed = us_socket_close_reason(1, s);
    }
    if (listener && (us_socket_context(1, s) == server_context || failed)) {
        us_listen_socket_close(1, listener);
        listener = NULL;
    }
    return s;
}

static Socket *t_error(Socket *s, int code) {
    (void) code;
    failed = us_socket_close_reason(1, s);
    if (listener) us_listen_socket_close(1, listener);
    listener = NULL;
    return s;
}

static void t_set(Context *c) {
    us_socket_context_on_open(1, c, t_open);
    us_socket_context_on_data(1, c, t_data);
    us_socket_context_on_close(1, c, t_close);
    us_socket_context_on_connect_error(1, c, t_error);
}

/* Starts a server and a client in one loop, each with a context of its own. */
static void start(const char *name, struct us_socket_context_options_t server_options,
    struct us_socket_context_options_t client_options) {
    SAY("-- %s", name);
    servers = clients = closes = failed = 0;
    got = 0;
    server_number = -2;
    loop = us_create_loop(NULL, on_wake, on_pre, on_post, 0);
    server_context = us_create_socket_context(1, loop, 8, server_options);
    client_context = us_create_socket_context(1, loop, 8, client_options);
    if (!server_context || !client_context) {
        SAY("a context could not be made");
        exit(1);
    }
    t_set(server_context);
    t_set(client_context);
    listener = us_socket_context_listen(1, server_context, "127.0.0.1", 0, 0, 64);
    port = us_socket_local_port(1, (Socket *) listener);
}

static void connect_to(const char *host) {
    if (!us_socket_context_connect(1, client_context, host, port, NULL, 0, 64)) {
        SAY("connecting cannot be tried");
        us_listen_socket_close(1, listener);
    }
}

static void run(void) {
    us_loop_run(loop);
    us_socket_context_free(1, client_context);
    us_socket_context_free(1, server_context);
    us_loop_free(loop);
    SAY("opened %d and %d, closed %d, %ld bytes, name %d, failed %d", servers, clients, closes, got,
        server_number, failed);
}

/* A certificate that is wanted only when a client asks for its name. */
static void late(Context *c, const char *hostname) {
    SAY("asked for %s", hostname);
    us_socket_context_add_server_name(1, c, "127.0.0.1", who("localhost", NULL), &users[3]);
    us_socket_context_add_server_name(1, c, "localhost", who("localhost", NULL), &users[3]);
}

static Socket *big_open(Socket *s, int is_client, char *ip, int length) {
    (void) ip; (void) length;
    is_client ? clients++ : servers++;
    return s;
}

enum { BIG = 8 << 20 };
static char *big;
static int sent;

static Socket *big_write(Socket *s) {
    if (us_socket_context(1, s) != client_context) return s;
    sent += us_socket_write(1, s, big + sent, BIG - sent, 0);
    if (sent == BIG) us_socket_shutdown(1, s);
    return s;
}

static Socket *big_start(Socket *s, int is_client, char *ip, int length) {
    big_open(s, is_client, ip, length);
    return is_client ? big_write(s) : s;
}

static Socket *big_data(Socket *s, char *d, int n) {
    (void) d; (void) s;
    got += n;
    return s;
}

static int taken;

static int take(Context *c, int fd, char *ip, int length) {
    (void) c; (void) ip; (void) length;
    taken = fd;
    us_wakeup_loop(loop);
    return -1;
}

static void give_back(void) {
    char ip[4] = {127, 0, 0, 1};
    Socket *s = us_adopt_accepted_socket(1, server_context, taken, 64, ip, 4);
    SAY("given back: open at once %d", s != NULL);
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    folder = argv[1];

    start("a client that knows the authority", who("localhost", NULL), who(NULL, "ca.pem"));
    connect_to("localhost");
    run();
    start("a client that knows another", who("localhost", NULL), who(NULL, "other-ca.pem"));
    connect_to("localhost");
    run();
    start("a client that knows none", who("localhost", NULL), who(NULL, NULL));
    connect_to("localhost");
    run();
    /* (W28) */
    start("a certificate for another name", who("elsewhere", NULL), who(NULL, "ca.pem"));
    connect_to("localhost");
    run();

    /* (W28) */
    start("a certificate for the name", who("elsewhere", NULL), who(NULL, "ca.pem"));
    us_socket_context_add_server_name(1, server_context, "LOCALHOST", who("localhost", NULL),
        &users[1]);
    us_socket_context_add_server_name(1, server_context, "*.example.org", who("elsewhere", NULL),
        &users[2]);
    us_socket_context_add_server_name(1, server_context, "nowhere", who("nowhere", NULL),
        &users[2]);
    SAY("found %d %d %d", us_socket_context_find_server_name_userdata(1, server_context,
            "localhost") == &users[1],
        us_socket_context_find_server_name_userdata(1, server_context, "*.example.org")
            == &users[2],
        us_socket_context_find_server_name_userdata(1, server_context, "nowhere") != NULL);
    us_socket_context_remove_server_name(1, server_context, "*.example.org");
    SAY("removed %d", us_socket_context_find_server_name_userdata(1, server_context,
        "*.example.org") == NULL);
    connect_to("localhost");
    run();
    start("a name that is added when it is wanted", who("elsewhere", NULL), who(NULL, "ca.pem"));
    us_socket_context_on_server_name(1, server_context, late);
    connect_to("localhost");
    run();

    start("a client that shows a certificate", who("localhost", "ca.pem"),
        who("client", "ca.pem"));
    connect_to("localhost");
    run();
    /* It opens at the client, which in TLS 1.3 has nothing more to wait for, and is then refused. */
    /* (W28) */
    start("a client that should and does not", who("localhost", "ca.pem"), who(NULL, "ca.pem"));
    connect_to("localhost");
    run();

    start("eight million bytes", who("localhost", NULL), who(NULL, "ca.pem"));
    big = (char *) calloc(BIG, 1);
    sent = 0;
    us_socket_context_on_open(1, server_context, big_start);
    us_socket_context_on_open(1, client_context, big_start);
    us_socket_context_on_data(1, server_context, big_data);
    us_socket_context_on_data(1, client_context, big_data);
    us_socket_context_on_writable(1, client_context, big_write);
    connect_to("localhost");
    run();
    SAY("all sent %d", sent == BIG);
    free(big);

    start("a descriptor taken and given back", who("localhost", NULL), who(NULL, "ca.pem"));
    us_socket_context_on_pre_open(1, server_context, take);
    on.wake = give_back;
    connect_to("localhost");
    run();
    memset(&on, 0, sizeof on);

    SAY("-- files that cannot be used");
    loop = us_create_loop(NULL, on_wake, on_pre, on_post, 0);
    struct us_socket_context_options_t half = who("localhost", NULL);
    half.key_file_name = NULL;
    struct us_socket_context_options_t another = who("localhost", NULL);
    another.key_file_name = path("elsewhere.key");
    SAY("%d %d %d %d", us_create_socket_context(1, loop, 0, who("nowhere", NULL)) == NULL,
        us_create_socket_context(1, loop, 0, half) == NULL,
        us_create_socket_context(1, loop, 0, another) == NULL,
        us_create_socket_context(1, loop, 0, who(NULL, "nowhere.pem")) == NULL);
    us_loop_free(loop);
    return 0;
}
/* Prints:
-- a client that knows the authority
opened 1 and 1, closed 2, 16 bytes, name -1, failed 0
-- a client that knows another
opened 0 and 0, closed 0, 0 bytes, name -2, failed 7
-- a client that knows none
connecting cannot be tried
opened 0 and 0, closed 0, 0 bytes, name -2, failed 0
-- a certificate for another name
opened 0 and 0, closed 0, 0 bytes, name -2, failed 7
-- a certificate for the name
found 1 1 0
removed 1
opened 1 and 1, closed 2, 16 bytes, name 1, failed 0
-- a name that is added when it is wanted
asked for localhost
opened 1 and 1, closed 2, 16 bytes, name 3, failed 0
-- a client that shows a certificate
opened 1 and 1, closed 2, 16 bytes, name -1, failed 0
-- a client that should and does not
opened 0 and 1, closed 1, 0 bytes, name -2, failed 7
-- eight million bytes
opened 1 and 1, closed 2, 8388608 bytes, name -2, failed 0
all sent 1
-- a descriptor taken and given back
given back: open at once 0
opened 1 and 1, closed 2, 16 bytes, name -1, failed 0
-- files that cannot be used
1 1 1 1
*/
