//! From the machine's first instruction to `start`: 64-bit mode, memory mapped as it is, an empty
//! stack, zeroed statics; and the way interrupts take into Rust and back.
//!
//! The loader finds the first instruction by a note (Xen's PVH boot protocol) and jumps there in
//! 32-bit mode without paging.
#![expect(unsafe_code, reason = "there is no Rust before there is a stack")]

use core::arch::global_asm;

global_asm!(
    r#"
    .section .note.pvh, "a", @note
    .balign 4
    .long 4, 8, 18
    .asciz "Xen"
    .quad boot

    .section .text.boot, "ax", @progbits
    .code32
    .global boot
boot:
    cli
    cld
    mov edi, offset bss_start
    mov ecx, offset bss_end
    sub ecx, edi
    shr ecx, 2
    xor eax, eax
    rep stosd
    mov edi, offset stack_bottom
    mov ecx, offset stack_top
    sub ecx, edi
    shr ecx, 2
    mov eax, {PAINT}
    rep stosd
    mov esp, offset stack_top

    // One table of the fourth level, one of the third, four of the second: 2,048 pages of 2 MiB.
    mov edi, offset page_tables
    lea eax, [edi + 0x1003]
    mov dword ptr [edi], eax
    lea eax, [edi + 0x2003]
    lea edx, [edi + 0x1000]
    mov ecx, 4
2:
    mov dword ptr [edx], eax
    add eax, 0x1000
    add edx, 8
    dec ecx
    jnz 2b
    // Present, writable, large; the last gibibyte, where devices are, past the caches.
    mov eax, 0x83
    lea edx, [edi + 0x2000]
    mov ecx, 2048
3:
    mov dword ptr [edx], eax
    add eax, 0x200000
    add edx, 8
    cmp ecx, 513
    jne 4f
    or eax, 0x18
4:
    dec ecx
    jnz 3b

    mov cr3, edi
    mov eax, cr4
    or eax, 0x20
    mov cr4, eax
    mov ecx, 0xc0000080
    rdmsr
    or eax, 0x100
    wrmsr
    mov eax, cr0
    or eax, 0x80000001
    mov cr0, eax
    mov eax, offset segments_pointer
    lgdt [eax]
    push 8
    mov eax, offset boot_long
    push eax
    retf

    .code64
boot_long:
    mov eax, 16
    mov ds, eax
    mov es, eax
    mov ss, eax
    lea rsp, [rip + stack_top]
    xor ebp, ebp
    call {start}
5:
    hlt
    jmp 5b

    // Keeps what a call may change.
    .global interrupt_entry
interrupt_entry:
    push rax
    push rcx
    push rdx
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    cld
    call {interrupt}
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rax
    iretq

    .global spurious_entry
spurious_entry:
    iretq

    .global fault_entry
fault_entry:
    and rsp, -16
    call {fault}

    .section .rodata.segments, "a", @progbits
    .balign 8
segments:
    .quad 0
    .quad 0x00af9b000000ffff
    .quad 0x00cf93000000ffff
segments_pointer:
    .short 23
    .long segments
    .long 0

    .section .bss.page_tables, "aw", @nobits
    .balign 4096
page_tables:
    .skip 6 * 4096

    .text
    "#,
    PAINT = const crate::memory::PAINT,
    start = sym crate::start,
    interrupt = sym crate::interrupts::on_interrupt,
    fault = sym crate::interrupts::on_fault,
);
