/* What of DPDK is static inline or lies in its structures, behind plain functions for `ffi.rs`.
 *
 * Errors are negative numbers of errno(3). Nothing here keeps state but the counts of ports that are
 * gone; what a function may be called with, and when, is said in `ffi.rs`.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_version.h>

#if RTE_VERSION < RTE_VERSION_NUM(22, 11, 0, 0)
#error "DPDK 22.11 or newer is needed"
#endif

#define BURST_MAX 64
#define QUEUES_MAX 64

/* As in `ffi.rs`. */
#define CHECKSUM_GOOD 1u
#define CHECKSUM_PARTIAL 2u
#define HAS_HASH 4u
#define HAS_VLAN 8u

#define FILLS 1u
#define CUTS 2u
#define VERIFIES 4u
#define SPREADS 8u
#define COUNTS_WHAT_IT_LOSES 16u
#define COUNTS_LINK_HEADERS 32u

struct us_text {
    const char *bytes;
    size_t len;
};

struct us_frame {
    const uint8_t *data;
    struct rte_mbuf *mbuf;
    uint32_t len;
    uint32_t hash;
    uint32_t flags;
    uint16_t vlan;
    uint16_t parts;
};

struct us_slot {
    uint8_t *data;
    struct rte_mbuf *mbuf;
    size_t room;
};

struct us_offload {
    uint8_t link_len;
    uint8_t ip_len;
    uint8_t tcp_len;
    uint8_t v6;
    uint16_t segment_size;
    uint16_t pseudo_sum;
};

struct us_config {
    uint16_t queues;
    uint16_t mtu;
    uint16_t rx_descriptors;
    uint16_t tx_descriptors;
    uint8_t offload;
    uint8_t v4_only;
    uint8_t promiscuous;
    const uint8_t *rss_key;
    struct rte_mempool *pools[QUEUES_MAX];
};

struct us_port {
    uint32_t abilities;
    uint16_t table_len;
    uint8_t mac[6];
};

struct us_statistics {
    uint64_t received;
    uint64_t sent;
    uint64_t missed;
    uint64_t no_buffers;
    uint64_t receive_errors;
    uint64_t send_errors;
};

/* How often the device behind each number of a port has been taken out; numbers are used again. */
static _Atomic uint32_t removals[RTE_MAX_ETHPORTS];

static int failure(void)
{
    return rte_errno > 0 ? -rte_errno : -EIO;
}

/* The arguments, which EAL may keep. */
static char texts[4096];
static char *arguments[128];

int us_dpdk_start(const struct us_text *given, size_t count)
{
    size_t used = 0;
    if (count >= sizeof arguments / sizeof arguments[0])
        return -E2BIG;
    for (size_t i = 0; i < count; i++) {
        if (given[i].len >= sizeof texts - used)
            return -E2BIG;
        arguments[i] = memcpy(texts + used, given[i].bytes, given[i].len);
        used += given[i].len;
        texts[used++] = 0;
    }
    arguments[count] = NULL;
    cpu_set_t before;
    int known = pthread_getaffinity_np(pthread_self(), sizeof before, &before) == 0;
    int result = rte_eal_init((int)count, arguments);
    /* EAL keeps the thread to one processor, and with it all threads that it starts later. */
    if (known)
        pthread_setaffinity_np(pthread_self(), sizeof before, &before);
    return result < 0 ? failure() : 0;
}

int us_dpdk_stop(void)
{
    return rte_eal_cleanup();
}

int us_dpdk_attach(const char *arguments)
{
    int result = rte_dev_probe(arguments);
    return result < 0 ? result : 0;
}

int us_dpdk_find(const char *name)
{
    uint16_t port;
    int result = rte_eth_dev_get_port_by_name(name, &port);
    return result < 0 ? result : port;
}

int us_dpdk_port_name(uint16_t port, char *name)
{
    return rte_eth_dev_get_name_by_port(port, name);
}

/* Pools. */

int us_dpdk_pool(uint32_t number, unsigned int frames, uint16_t room, struct rte_mempool **out)
{
    char name[32];
    snprintf(name, sizeof name, "us_pool_%u", number);
    *out = rte_pktmbuf_pool_create(name, frames, 0, 0, room + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
    return *out == NULL ? failure() : 0;
}

int us_dpdk_pool_lent(uint32_t number, uint8_t *memory, size_t len, uint16_t room,
    struct rte_mempool **out)
{
    char name[32];
    snprintf(name, sizeof name, "us_pool_%u", number);
    struct rte_pktmbuf_extmem extmem = {
        .buf_ptr = memory,
        .buf_len = len,
        .elt_size = room + RTE_PKTMBUF_HEADROOM,
    };
    /* Pages of the caller are not contiguous for a card that does not see virtual addresses. */
    if (rte_eal_iova_mode() == RTE_IOVA_PA)
        return -ENOTSUP;
    extmem.buf_iova = (rte_iova_t)(uintptr_t)memory;
    if (rte_extmem_register(memory, len, NULL, 0, (size_t)getpagesize()) < 0)
        return failure();
    *out = rte_pktmbuf_pool_create_extbuf(name, (unsigned int)(len / extmem.elt_size), 0, 0,
        extmem.elt_size, SOCKET_ID_ANY, &extmem, 1);
    if (*out != NULL)
        return 0;
    int error = failure();
    rte_extmem_unregister(memory, len);
    return error;
}

/* Lets the card of a port reach memory that the caller lent. */
int us_dpdk_pool_map(uint16_t port, uint8_t *memory, size_t len)
{
    struct rte_eth_dev_info info;
    int error = rte_eth_dev_info_get(port, &info);
    if (error < 0)
        return error;
    if (rte_dev_dma_map(info.device, memory, (rte_iova_t)(uintptr_t)memory, len) == 0)
        return 0;
    /* A port in software has nothing to map for; a card that is mapped already needs no more. */
    return rte_errno == ENOTSUP || rte_errno == EEXIST ? 0 : failure();
}

/* Frees the pool if all its frames have come back. */
int us_dpdk_pool_free(struct rte_mempool *pool)
{
    if (!rte_mempool_full(pool))
        return -EBUSY;
    rte_mempool_free(pool);
    return 0;
}

unsigned int us_dpdk_pool_available(const struct rte_mempool *pool)
{
    return rte_mempool_avail_count(pool);
}

/* Ports. */

static int on_event(uint16_t port, enum rte_eth_event_type event, void *argument, void *result)
{
    (void)event;
    (void)argument;
    (void)result;
    atomic_fetch_add(&removals[port], 1);
    return 0;
}

_Atomic uint32_t *us_dpdk_removals(uint16_t port)
{
    return port < RTE_MAX_ETHPORTS ? &removals[port] : NULL;
}

/* Spreads what the card hashes over the queues in turn. */
static int fill_table(uint16_t port, uint16_t table_len, uint16_t queues)
{
    struct rte_eth_rss_reta_entry64 table[RTE_ETH_RSS_RETA_SIZE_512 / RTE_ETH_RETA_GROUP_SIZE];
    if (table_len == 0 || table_len > RTE_ETH_RSS_RETA_SIZE_512)
        return -ENOTSUP;
    memset(table, 0, sizeof table);
    for (uint16_t entry = 0; entry < table_len; entry++) {
        struct rte_eth_rss_reta_entry64 *group = &table[entry / RTE_ETH_RETA_GROUP_SIZE];
        group->mask |= UINT64_C(1) << (entry % RTE_ETH_RETA_GROUP_SIZE);
        group->reta[entry % RTE_ETH_RETA_GROUP_SIZE] = entry % queues;
    }
    return rte_eth_dev_rss_reta_update(port, table, table_len);
}

/* Chooses what of the port's abilities is used. */
static void choose(const struct rte_eth_dev_info *info, const struct us_config *config,
    struct rte_eth_conf *conf, uint8_t *key, struct us_port *out)
{
    const uint64_t verifies = RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
    const uint64_t hashes = RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP;
    const uint64_t cuts = RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
    conf->rxmode.mtu = config->mtu;
    if (info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER)
        conf->rxmode.offloads |= RTE_ETH_RX_OFFLOAD_SCATTER;
    if (config->offload && (info->rx_offload_capa & verifies)) {
        conf->rxmode.offloads |= verifies;
        out->abilities |= VERIFIES;
    }
    if (config->offload && (info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_TCP_CKSUM)) {
        conf->txmode.offloads |= RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
        out->abilities |= FILLS;
        if ((info->tx_offload_capa & cuts) == cuts) {
            conf->txmode.offloads |= cuts;
            if (info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS)
                conf->txmode.offloads |= RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
            out->abilities |= CUTS;
        }
    }
    if (config->queues > 1 && config->rss_key != NULL && info->reta_size > 0
        && (info->flow_type_rss_offloads & hashes)) {
        memcpy(key, config->rss_key, 40);
        conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        conf->rx_adv_conf.rss_conf.rss_key = key;
        conf->rx_adv_conf.rss_conf.rss_key_len = info->hash_key_size > 0 ? info->hash_key_size : 40;
        conf->rx_adv_conf.rss_conf.rss_hf = info->flow_type_rss_offloads & hashes;
        if (info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_RSS_HASH)
            conf->rxmode.offloads |= RTE_ETH_RX_OFFLOAD_RSS_HASH;
        out->abilities |= SPREADS;
        out->table_len = info->reta_size;
    }
}

static int set_up_queues(uint16_t port, const struct us_config *config,
    const struct rte_eth_conf *conf, const struct rte_eth_dev_info *info)
{
    uint16_t rx = config->rx_descriptors, tx = config->tx_descriptors;
    int error = rte_eth_dev_adjust_nb_rx_tx_desc(port, &rx, &tx);
    struct rte_eth_rxconf rx_conf = info->default_rxconf;
    struct rte_eth_txconf tx_conf = info->default_txconf;
    rx_conf.offloads = conf->rxmode.offloads;
    tx_conf.offloads = conf->txmode.offloads;
    int socket = rte_eth_dev_socket_id(port);
    for (uint16_t queue = 0; error >= 0 && queue < config->queues; queue++) {
        error = rte_eth_rx_queue_setup(port, queue, rx, socket, &rx_conf, config->pools[queue]);
        if (error >= 0)
            error = rte_eth_tx_queue_setup(port, queue, tx, socket, &tx_conf);
    }
    return error;
}

static int can_do_without(int error)
{
    return error == -ENOTSUP || error == -ENOSYS ? 0 : error;
}

int us_dpdk_open(uint16_t port, const struct us_config *config, struct us_port *out)
{
    struct rte_eth_dev_info info;
    struct rte_eth_conf conf;
    uint8_t key[64] = {0};
    struct rte_ether_addr mac;
    memset(&conf, 0, sizeof conf);
    memset(out, 0, sizeof *out);
    int error = rte_eth_dev_info_get(port, &info);
    if (error < 0)
        return error;
    if (config->queues == 0 || config->queues > QUEUES_MAX
        || config->queues > info.max_rx_queues || config->queues > info.max_tx_queues)
        return -ERANGE;
    if (info.hash_key_size > sizeof key)
        return -ENOTSUP;
    /* Takes no segments to cut that are as long as its MTU without the link's header, and sends
     * those of IPv6 as they are. */
    if (strcmp(info.driver_name, "net_tap") == 0) {
        out->abilities |= COUNTS_LINK_HEADERS;
        if (!config->v4_only)
            info.tx_offload_capa &= ~RTE_ETH_TX_OFFLOAD_TCP_TSO;
    }
    choose(&info, config, &conf, key, out);
    /* When its interface is down, frees frames and counts them as errors; some versions then say
     * that they have not sent them. */
    if (strcmp(info.driver_name, "net_af_packet") == 0)
        out->abilities |= COUNTS_WHAT_IT_LOSES;
    error = rte_eth_dev_configure(port, config->queues, config->queues, &conf);
    if (error >= 0)
        error = set_up_queues(port, config, &conf, &info);
    if (error >= 0)
        error = can_do_without(rte_eth_dev_set_mtu(port, config->mtu));
    if (error < 0)
        return error;
    rte_eth_dev_callback_register(port, RTE_ETH_EVENT_INTR_RMV, on_event, NULL);
    rte_eth_dev_callback_register(port, RTE_ETH_EVENT_DESTROY, on_event, NULL);
    error = rte_eth_dev_start(port);
    if (error < 0)
        return error;
    /* Without, the card spreads as it likes, and stacks hand over. */
    if ((out->abilities & SPREADS) && fill_table(port, out->table_len, config->queues) < 0)
        out->abilities &= ~SPREADS;
    if (config->promiscuous)
        error = rte_eth_promiscuous_enable(port);
    /* IPv6 finds neighbours by multicast. */
    if (error >= 0)
        error = can_do_without(rte_eth_allmulticast_enable(port));
    if (error >= 0)
        error = rte_eth_macaddr_get(port, &mac);
    if (error < 0) {
        rte_eth_dev_stop(port);
        return error;
    }
    memcpy(out->mac, mac.addr_bytes, sizeof out->mac);
    (void)rte_eth_stats_reset(port);
    return 0;
}

int us_dpdk_port_start(uint16_t port)
{
    return rte_eth_dev_start(port);
}

int us_dpdk_port_stop(uint16_t port)
{
    return rte_eth_dev_stop(port);
}

/* Takes the device of a port out. */
int us_dpdk_remove(uint16_t port)
{
    struct rte_eth_dev_info info;
    int error = rte_eth_dev_info_get(port, &info);
    if (error < 0)
        return error;
    struct rte_device *device = info.device;
    error = rte_eth_dev_close(port);
    if (device != NULL && error >= 0)
        error = rte_dev_remove(device);
    return error < 0 ? error : 0;
}

/* 1 if the link is up, 0 if it is down. */
int us_dpdk_link(uint16_t port)
{
    struct rte_eth_link link;
    memset(&link, 0, sizeof link);
    int error = rte_eth_link_get_nowait(port, &link);
    return error < 0 ? error : link.link_status == RTE_ETH_LINK_UP;
}

int us_dpdk_statistics(uint16_t port, struct us_statistics *out)
{
    struct rte_eth_stats stats;
    int error = rte_eth_stats_get(port, &stats);
    if (error < 0)
        return error;
    out->received = stats.ipackets;
    out->sent = stats.opackets;
    out->missed = stats.imissed;
    out->no_buffers = stats.rx_nombuf;
    out->receive_errors = stats.ierrors;
    out->send_errors = stats.oerrors;
    return 0;
}

/* Frames. */

uint16_t us_dpdk_receive(uint16_t port, uint16_t queue, struct us_frame *frames, uint16_t most)
{
    struct rte_mbuf *mbufs[BURST_MAX];
    uint16_t count = rte_eth_rx_burst(port, queue, mbufs, most < BURST_MAX ? most : BURST_MAX);
    for (uint16_t i = 0; i < count; i++) {
        struct rte_mbuf *mbuf = mbufs[i];
        uint64_t checksum = mbuf->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
        uint32_t flags = 0;
        if (checksum == RTE_MBUF_F_RX_L4_CKSUM_GOOD)
            flags |= CHECKSUM_GOOD;
        else if (checksum == RTE_MBUF_F_RX_L4_CKSUM_NONE)
            flags |= CHECKSUM_PARTIAL;
        if (mbuf->ol_flags & RTE_MBUF_F_RX_RSS_HASH)
            flags |= HAS_HASH;
        if (mbuf->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED)
            flags |= HAS_VLAN;
        frames[i] = (struct us_frame){
            .data = rte_pktmbuf_mtod(mbuf, const uint8_t *),
            .mbuf = mbuf,
            .len = rte_pktmbuf_data_len(mbuf),
            .hash = mbuf->hash.rss,
            .flags = flags,
            .vlan = mbuf->vlan_tci,
            .parts = mbuf->nb_segs,
        };
    }
    return count;
}

const uint8_t *us_dpdk_part(const struct rte_mbuf *mbuf, uint16_t place, uint32_t *len)
{
    for (; mbuf != NULL && place > 0; place--)
        mbuf = mbuf->next;
    if (mbuf == NULL)
        return NULL;
    *len = rte_pktmbuf_data_len(mbuf);
    return rte_pktmbuf_mtod(mbuf, const uint8_t *);
}

void us_dpdk_free(struct rte_mbuf *mbuf)
{
    rte_pktmbuf_free(mbuf);
}

void us_dpdk_give_back(const struct us_frame *frames, uint16_t count)
{
    struct rte_mbuf *mbufs[BURST_MAX];
    uint16_t all = count < BURST_MAX ? count : BURST_MAX;
    for (uint16_t i = 0; i < all; i++)
        mbufs[i] = frames[i].mbuf;
    rte_pktmbuf_free_bulk(mbufs, all);
}

/* Takes up to `most` empty frames from a pool; as many as it has if it has fewer. */
uint16_t us_dpdk_take(struct rte_mempool *pool, struct us_slot *slots, uint16_t most)
{
    struct rte_mbuf *mbufs[BURST_MAX];
    uint16_t count = most < BURST_MAX ? most : BURST_MAX;
    while (count > 0 && rte_pktmbuf_alloc_bulk(pool, mbufs, count) != 0)
        count /= 2;
    for (uint16_t i = 0; i < count; i++) {
        slots[i].data = rte_pktmbuf_mtod(mbufs[i], uint8_t *);
        slots[i].mbuf = mbufs[i];
        slots[i].room = rte_pktmbuf_tailroom(mbufs[i]);
    }
    return count;
}

/* Says how long a frame to send is, and what the card has to do with it. */
void us_dpdk_describe(struct rte_mbuf *mbuf, uint16_t len, const struct us_offload *offload,
    uint32_t abilities)
{
    mbuf->data_len = len;
    mbuf->pkt_len = len;
    if (offload == NULL)
        return;
    mbuf->l2_len = offload->link_len;
    mbuf->l3_len = offload->ip_len;
    mbuf->l4_len = offload->tcp_len;
    mbuf->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
    mbuf->ol_flags |= offload->v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4;
    if (offload->segment_size == 0)
        return;
    mbuf->tso_segsz = offload->segment_size;
    if ((abilities & COUNTS_LINK_HEADERS) && offload->segment_size > 2u * offload->link_len)
        mbuf->tso_segsz -= offload->link_len;
    mbuf->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
    /* Each segment has a length of its own, in the checksums of TCP and of IPv4. */
    uint8_t *ip = rte_pktmbuf_mtod_offset(mbuf, uint8_t *, offload->link_len);
    uint16_t sum = rte_cpu_to_be_16(offload->pseudo_sum);
    memcpy(ip + offload->ip_len + 16, &sum, sizeof sum);
    if (!offload->v6) {
        mbuf->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
        memset(ip + 10, 0, 2);
    }
}

/* Sends by a driver that may free frames and then say that it has not sent them: a second reference
 * tells which it freed. They are the first ones. */
static uint16_t send_carefully(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs,
    uint16_t count)
{
    for (uint16_t i = 0; i < count; i++)
        rte_mbuf_refcnt_update(mbufs[i], 1);
    (void)rte_eth_tx_burst(port, queue, mbufs, count);
    uint16_t freed = 0;
    for (uint16_t i = 0; i < count; i++) {
        if (rte_mbuf_refcnt_read(mbufs[i]) == 1) {
            rte_pktmbuf_free(mbufs[i]);
            freed = i + 1;
        } else {
            rte_mbuf_refcnt_update(mbufs[i], -1);
        }
    }
    return freed;
}

/* Sends frames in order as far as there is room; returns how many are gone, sent or dropped. */
uint16_t us_dpdk_send(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count,
    uint32_t abilities, uint16_t *dropped)
{
    uint16_t done = 0;
    *dropped = 0;
    while (done < count) {
        uint16_t ready = count - done, sent;
        if (abilities & FILLS)
            ready = rte_eth_tx_prepare(port, queue, mbufs + done, ready);
        if (abilities & COUNTS_WHAT_IT_LOSES)
            sent = send_carefully(port, queue, mbufs + done, ready);
        else
            sent = rte_eth_tx_burst(port, queue, mbufs + done, ready);
        done += sent;
        if (sent < ready || done == count)
            break;
        /* The next one is what the driver cannot send. */
        rte_pktmbuf_free(mbufs[done]);
        done++;
        *dropped += 1;
    }
    return done;
}
