/* Prints how many bytes an idle connection with an ext of 192 bytes takes, by the pages that the
 * process has written to: idle CONNECTIONS, at least 2,000. Its other ends are in the same process,
 * and take nothing here. */
#include <libusockets.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { EXT = 192, FIRST = 1000 };
static int opened;

static long written_pages(void) {
    char line[256];
    long kilobytes = -1;
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "Private_Dirty: %ld", &kilobytes) == 1) break;
    }
    if (file) fclose(file);
    return kilobytes * 1024;
}

static struct us_socket_t *on_open(struct us_socket_t *s, int is_client, char *ip, int length) {
    (void) is_client; (void) ip; (void) length;
    memset(us_socket_ext(0, s), 1, EXT);
    us_socket_timeout(0, s, 60);
    opened++;
    return s;
}

int main(int argc, char **argv) {
    int count = argc > 1 ? atoi(argv[1]) : 2000, base = 0;
    long before = 0;
    struct us_socket_context_options_t options = {0};
    struct us_loop_t *loop = us_create_loop(NULL, NULL, NULL, NULL, 0);
    struct us_socket_context_t *context = us_create_socket_context(0, loop, 0, options);
    us_socket_context_on_open(0, context, on_open);
    struct us_listen_socket_t *listener =
        us_socket_context_listen(0, context, "127.0.0.1", 0, 0, EXT);
    struct sockaddr_in at = {0};
    at.sin_family = AF_INET;
    at.sin_port = htons((unsigned short) us_socket_local_port(0, (struct us_socket_t *) listener));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < count; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *) &at, sizeof at)) {
            perror("connect");
            return 1;
        }
        us_loop_poll(loop);
        if (opened == FIRST && !base) {
            before = written_pages();
            base = opened;
        }
    }
    for (int i = 0; i < 100 && opened < count; i++) us_loop_poll(loop);
    if (!base || opened < count) return 1;
    printf("%.1f\n", (double) (written_pages() - before) / (opened - base));
    return 0;
}
