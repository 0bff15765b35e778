#include "store/huffman.h"

#include <string.h>

/* A symbol and its count as one number, which sorts by the count. */
#define SYMBOL_BITS 9
#define SYMBOL_MASK ((1u << SYMBOL_BITS) - 1)

/* Shell's sort, with Ciura's gaps. */
static void sort(uint32_t *number, int count)
{
    static const int gaps[] = {132, 57, 23, 10, 4, 1};
    for (size_t g = 0; g < sizeof gaps / sizeof gaps[0]; g++)
        for (int i = gaps[g]; i < count; i++) {
            uint32_t moved = number[i];
            int to = i;
            for (; to >= gaps[g] && number[to - gaps[g]] > moved; to -= gaps[g]) number[to] = number[to - gaps[g]];
            number[to] = moved;
        }
}

/* Often most symbols are the rarest: these are in their order already. */
static void sort_by_count(const uint32_t *count, int symbols, uint32_t *sorted)
{
    int rarest = 0;
    for (int i = 0; i < symbols; i++)
        if (count[i] == 1) sorted[rarest++] = count[i] << SYMBOL_BITS | (uint32_t)i;
    for (int i = 0, to = rarest; i < symbols; i++)
        if (count[i] > 1) sorted[to++] = count[i] << SYMBOL_BITS | (uint32_t)i;
    sort(sorted + rarest, symbols - rarest);
}

/* Huffman's tree: the two lightest nodes become one, again and again. Nodes are made in the order of their weight, so
 * that the lightest is either the next leaf or the next of those that were made. Returns how many leaves there are at
 * each depth. */
static void count_depths(const uint32_t *weight_of_leaf, int leaves, int *leaves_at)
{
    uint32_t weight[2 * HUFFMAN_MOST_SYMBOLS];
    int parent[2 * HUFFMAN_MOST_SYMBOLS], depth[2 * HUFFMAN_MOST_SYMBOLS];
    const int root = 2 * leaves - 2;
    int leaf = 0, made = leaves;
    memcpy(weight, weight_of_leaf, (size_t)leaves * sizeof *weight);
    for (int node = leaves; node <= root; node++) {
        weight[node] = 0;
        for (int child = 0; child < 2; child++) {
            int lightest = leaf < leaves && (made == node || weight[leaf] <= weight[made]) ? leaf++ : made++;
            weight[node] += weight[lightest];
            parent[lightest] = node;
        }
    }
    depth[root] = 0;
    for (int node = root - 1; node >= 0; node--) {
        depth[node] = depth[parent[node]] + 1;
        if (node < leaves) leaves_at[depth[node]]++;
    }
}

/* Leaves that lie too deep are put at the greatest depth allowed. For each place that is missing there, a leaf above
 * moves down by one, and a deep one becomes its neighbour. */
static void limit_depths(int *leaves_at, int deepest)
{
    int missing = -(1 << HUFFMAN_MOST_BITS);
    for (int depth = HUFFMAN_MOST_BITS + 1; depth <= deepest; depth++) {
        leaves_at[HUFFMAN_MOST_BITS] += leaves_at[depth];
        leaves_at[depth] = 0;
    }
    for (int depth = 1; depth <= HUFFMAN_MOST_BITS; depth++) missing += leaves_at[depth] << (HUFFMAN_MOST_BITS - depth);
    for (; missing > 0; missing--) {
        int depth = HUFFMAN_MOST_BITS - 1;
        while (leaves_at[depth] == 0) depth--;
        leaves_at[depth]--;
        leaves_at[depth + 1] += 2;
        leaves_at[HUFFMAN_MOST_BITS]--;
    }
}

void huffman_lengths(const uint32_t *count, int symbols, uint8_t *length)
{
    uint32_t sorted[HUFFMAN_MOST_SYMBOLS], weight[HUFFMAN_MOST_SYMBOLS];
    int leaves_at[HUFFMAN_MOST_SYMBOLS] = {0}, leaf = 0;
    sort_by_count(count, symbols, sorted);
    for (int i = 0; i < symbols; i++) weight[i] = sorted[i] >> SYMBOL_BITS;
    count_depths(weight, symbols, leaves_at);
    limit_depths(leaves_at, symbols - 1);
    for (int depth = HUFFMAN_MOST_BITS; depth > 0; depth--)
        for (int i = 0; i < leaves_at[depth]; i++) length[sorted[leaf++] & SYMBOL_MASK] = (uint8_t)depth;
}

/* Neighbours change places: bits, pairs of them, and so on. */
uint32_t huffman_reversed(uint32_t code, int bits)
{
    code = (code & 0x5555) << 1 | (code >> 1 & 0x5555);
    code = (code & 0x3333) << 2 | (code >> 2 & 0x3333);
    code = (code & 0x0f0f) << 4 | (code >> 4 & 0x0f0f);
    return (code << 8 | code >> 8) >> (16 - bits) & ((1u << bits) - 1);
}

void huffman_codes(const uint8_t *length, int symbols, uint32_t *code)
{
    uint32_t next[HUFFMAN_MOST_BITS + 2] = {0};
    for (int i = 0; i < symbols; i++) next[length[i] + 1]++;
    for (int bits = 1; bits <= HUFFMAN_MOST_BITS; bits++) next[bits] = (next[bits] + next[bits - 1]) << 1;
    for (int i = 0; i < symbols; i++) code[i] = huffman_reversed(next[length[i]]++, length[i]) << 8 | length[i];
}
