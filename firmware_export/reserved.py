"""Words that a model may not be called in C, and whose they are.

A model NAME becomes NAME.h, NAME_model.h, a CMake target, an Arduino sketch and a library's name. A NAME.h in
a folder of headers hides every other header of that name: stdint.h would take the system's from all files.
Names are compared in lower case, because a file system that ignores case finds `Arduino.h` where `arduino.h`
is asked for.
"""

from __future__ import annotations

from types import MappingProxyType

# owner, as an error message calls it -> its words, in lower case
_OWNERS = {
    "a keyword of C or C++": """
        alignas alignof and and_eq asm atomic_cancel atomic_commit atomic_noexcept auto bitand bitor
        bool break case catch char char16_t char32_t char8_t class co_await co_return co_yield compl
        concept const const_cast consteval constexpr constinit continue decltype default delete do
        double dynamic_cast else enum explicit export extern false final float for friend goto if
        import inline int long module mutable namespace new noexcept not not_eq nullptr operator or
        or_eq override private protected public reflexpr register reinterpret_cast requires restrict
        return short signed sizeof static static_assert static_cast struct switch synchronized
        template this thread_local throw true try typedef typeid typename typeof typeof_unqual union
        unsigned using virtual void volatile wchar_t while xor xor_eq
        """,
    "a header of C": """
        assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal
        stdalign stdarg stdatomic stdbit stdbool stdckdint stddef stdint stdio stdlib stdnoreturn
        string tgmath threads time uchar wchar wctype
        """,
    "a header of C++": """
        algorithm any array atomic auto_ptr backward_warning barrier binders bit bitset cassert
        ccomplex cctype cerrno cfenv cfloat charconv chrono cinttypes ciso646 climits clocale cmath
        codecvt compare concepts condition_variable coroutine csetjmp csignal cstdalign cstdarg
        cstdbool cstddef cstdint cstdio cstdlib cstring ctgmath ctime cuchar cwchar cwctype cxxabi
        deque exception execution expected filesystem flat_map flat_set format forward_list fstream
        functional future generator hash_fun hash_map hash_set hashtable initializer_list iomanip
        ios iosfwd iostream istream iterator latch list map mdspan memory memory_resource mutex new
        numbers numeric optional ostream print queue random ranges ratio regex scoped_allocator
        semaphore set shared_mutex source_location span spanstream sstream stack stacktrace
        stdexcept stop_token streambuf string_view strstream syncstream system_error thread tuple
        type_traits typeindex typeinfo unordered_map unordered_set utility valarray variant vector
        version
        """,
    "a header of POSIX or of a C library": """
        acc_prof aio aliases alloca ar argp argz arm_acle arm_bf16 arm_cde arm_cmse arm_fp16 arm_mve
        arm_mve_types arm_neon backtrace byteswap cpio cpuid cross_stdarg crypt curses devctl dirent
        dlfcn elf endian envlock envz err error execinfo fastmath fcntl features fmtmsg fnmatch form
        fpu_control fstab fts ftw gconv gcov getopt glob grp gshadow iconv ieee754 ieeefp ifaddrs
        langinfo lastlog libgen libintl link magic malloc mcheck menu mm_malloc mmintrin mntent
        monetary mqueue ndbm netdb newlib nl_types nss obstack omp openacc panel paths picolibc poll
        printf proc_service pthread pty pwd quadmath re_comp reent regdef regexp resolv sched search
        sgtty shadow spawn stab stdfix stdio_ext strings syscall sysexits syslimits syslog tar term
        termcap termio termios thread_db ttyent ucontext ulimit unctrl unistd unwind
        unwind_arm_common utime utmp utmpx values varargs wait wordexp
        """,
    "a header or name of Arduino or PlatformIO": """
        api application arduino arduinoble avr binary bluetooth can cdc client common compat dac
        deprecated eeprom esp_i2s ethernet hardware hardwarei2c hardwareserial hardwarespi i2s
        interrupts ipaddress itoa keyboard main mbed mouse pdm pinnames pins_arduino pluggableusb
        preferences printable ringbuffer rtos sd serial server sketch spi spiffs src stream
        tensorflowlite tinyusb udp usb usbapi usbhost variant wcharacter wdt wifi wifinina wire
        wiring wmath wprogram wstring
        """,
    "a header or name of ESP-IDF": """
        build components driver event_groups freertos freertosconfig heap idf lwip message_buffer
        nvs nvs_flash partition_table portable portmacro projdefs rom sdkconfig soc stream_buffer
        task tasks timers xtensa
        """,
    "a header or name of Zephyr": """
        app arch audio autoconf cmsis_core device devicetree dts fatal init irq kconfig kernel
        logging net offsets prj rand settings shell sys syscalls timing toolchain tracing zephyr
        """,
    "a header or name of a chip's own files": """
        cmsis cmsis_compiler cmsis_gcc cmsis_version core_cm0 core_cm0plus core_cm3 core_cm33
        core_cm4 core_cm55 core_cm7 hal nrf nrf52 nrf52840 nrfx pico rp2040 rp2350 stm32 stm32h7
        stm32h7xx system
        """,
    "a header or name of TensorFlow Lite Micro": """
        absl fixedpoint flatbuffers gemmlowp micro ruy tensorflow tf tflite tflm
        """,
    "a target of CMake": """
        all clean depend edit_cache help install list_install_components package package_source
        rebuild_cache run_tests test uninstall
        """,
    "a file or name of the project itself": """
        arena board cortex_m emulated end firmware firmware_model golden half_band harness input
        kernels library memory_ld microphone model_cpp output places program progress protocol
        readme riscv32 rows sections semihosting sensor sensor_model sensor_semihosting start uart
        uart_16550 uart_cmsdk
        """,
}

OWNERS = MappingProxyType(
    {word: owner for owner, words in reversed(_OWNERS.items()) for word in words.split()}
)
"""word, in lower case -> whose it is"""

# What begins so belongs to a library whole: esp_log.h, cmsis_os.h, and every name of edgesea's own runtime.
PREFIXES = MappingProxyType(
    {
        "edgesea": "a name of edgesea's own runtime",
        "esp_": "a header or name of ESP-IDF",
        "zephyr_": "a header or name of Zephyr",
        "freertos_": "a header or name of ESP-IDF",
        "cmsis_": "a header or name of a chip's own files",
        "pthread_": "a header of POSIX or of a C library",
    }
)
