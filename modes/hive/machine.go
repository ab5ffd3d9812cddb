package hive

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/dustin/go-humanize"
	"github.com/shirou/gopsutil/v4/mem"

	"rbee.dev/rbee/ops"
)

// machine is what models can run on here, as it was found last.
type machine struct {
	looked chan struct{}                                                // closed once all of it was looked at; nil is at once
	memory func(context.Context) (total, free uint64)                   // see [Options]; nil is the machine's own
	nvidia func(context.Context) (list []ops.Device, problems []string) // see findNVIDIA; nil is that
	hung   chan struct{}                                                // holds one token once a driver hung; nil holds none

	mu       sync.Mutex
	devices  []ops.Device
	problems []string // with devices that cannot be used
}

// look reads the devices anew. What cannot be read is left out: a device
// without a name is of more use than an error. A look that is cut short changes
// nothing.
func (m *machine) look(ctx context.Context) {
	cpu := m.cpu(ctx)
	find := findNVIDIA
	if m.nvidia != nil {
		find = m.nvidia
	}
	nvidia, problems := find(ctx)
	gpus := slices.Concat(nvidia, findAMD(ctx, sysfs), findApple(cpu))
	if ctx.Err() != nil {
		return
	}
	share(cpu, gpus)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.devices, m.problems = append([]ops.Device{cpu}, gpus...), problems
	if slices.Contains(problems, noAnswer) {
		select {
		case m.hung <- struct{}{}:
		default:
		}
	}
	if m.looked != nil {
		select {
		case <-m.looked:
		default:
			close(m.looked)
		}
	}
}

// share gives GPUs that have no memory of their own the machine's, and those that
// do not tell of theirs (as NVIDIA's GB10 and Jetson, which have none): nobody
// knows of more that they could have.
func share(cpu ops.Device, gpus []ops.Device) {
	for i := range gpus {
		if d := &gpus[i]; d.SharesMemory || d.MemoryBytes == 0 {
			d.SharesMemory, d.MemoryBytes, d.MemoryFreeBytes = true, cpu.MemoryBytes, cpu.MemoryFreeBytes
		}
	}
}

// known waits for the first look to end, which takes as long as the cards'
// drivers do.
func (m *machine) known(ctx context.Context) error {
	if m.looked == nil {
		return nil
	}
	select {
	case <-m.looked:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// lookAtCards reads anew what is free of the GPUs, where there are any.
func (m *machine) lookAtCards(ctx context.Context) {
	if len(m.gpus()) > 0 {
		m.look(ctx)
	}
}

// gpus are the devices but for the CPU.
func (m *machine) gpus() []ops.Device {
	return slices.DeleteFunc(m.list(), func(d ops.Device) bool { return d.Kind == processor })
}

// wrong is what was wrong with devices when they were looked at last.
func (m *machine) wrong() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.problems)
}

// lookQuickly reads the CPU and the memory only, which takes no time. What was
// found beside them stays.
func (m *machine) lookQuickly(ctx context.Context) {
	cpu := m.cpu(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	gpus := slices.DeleteFunc(slices.Clone(m.devices), func(d ops.Device) bool { return d.Kind == processor })
	share(cpu, gpus)
	m.devices = append([]ops.Device{cpu}, gpus...)
}

// cpu is the CPU as a device, with the machine's memory.
func (m *machine) cpu(ctx context.Context) ops.Device {
	d := findCPU(ctx)
	if m.memory != nil {
		d.MemoryBytes, d.MemoryFreeBytes = m.memory(ctx)
	}
	d.MachineMemoryBytes = beyond(ctx, d.MemoryBytes)
	return d
}

// list is what was found last.
func (m *machine) list() []ops.Device {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.devices)
}

// memory is the machine's memory, all of it and what programs could still get,
// in bytes, as far as this process may have it; 0 when it cannot be read.
func memory(ctx context.Context) (total, free uint64) {
	m, err := mem.VirtualMemoryWithContext(ctx)
	if err != nil {
		return 0, 0
	}
	return within("/", m.Total, min(m.Total, m.Available+freed(zoneInfo)))
}

// beyond is all of the machine's memory where that is more than total, which this
// process may have; else 0.
func beyond(ctx context.Context, total uint64) uint64 {
	m, err := mem.VirtualMemoryWithContext(ctx)
	if err != nil || m.Total <= total {
		return 0
	}
	return m.Total
}

// totalMemory is all of the machine's memory, in bytes.
func totalMemory(ctx context.Context) (bytes uint64, unused string) {
	bytes, _ = memory(ctx)
	return bytes, ""
}

// humanBytes is a number of bytes for a person.
func humanBytes(n uint64) string { return humanize.IBytes(n) }

// apart is two numbers of bytes for a person, with as many digits as tell them
// apart.
func apart(a, b uint64) (string, string) {
	for digits := 2; digits < 7; digits++ {
		one, other := humanize.IBytesN(a, digits), humanize.IBytesN(b, digits)
		if one != other || a == b {
			return one, other
		}
	}
	return fmt.Sprintf("%d bytes", a), fmt.Sprintf("%d bytes", b)
}
