package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"yagura/fsm/schema"
	"yagura/rpc/api"
	"yagura/rpc/client"
)

func perfCommand(a *app) *cobra.Command {
	return family("perf", "Show the measured load of machines", perfShowCommand(a))
}

func perfShowCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show MACHINE [METRIC] [--since 1h]",
		Short: "Show CPU, memory and disk of a machine, with its thresholds",
		Long: `Show the newest samples of a machine, percent: a chart for each metric (cpu,
memory, disk), whose columns show the highest sample of their time, and the
thresholds that the samples are held against. -o json gives the samples.
Managers keep some hours of samples, in memory.`,
		Example: "pvmutl perf show ph01\npvmutl perf show esx01 cpu --since 15m -o json",
		Args:    positional("MACHINE", "METRIC?"),
	}
	since := cmd.Flags().Duration("since", time.Hour, "how far back; 0 for all that is kept")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *since < 0 || *since > 0 && *since < time.Second {
			return usagef(cmd, "--since is %s; it can be 0, or a second and more", *since)
		}
		return a.online(func(ctx context.Context, c *client.Client, args []string) error {
			reply, err := c.Inventory.Performance(ctx, &api.PerformanceRequest{
				Machine: args[0], Metric: strings.ToLower(optional(args, 1)), SinceSeconds: int64(*since / time.Second),
			})
			if err != nil {
				return err
			}
			return printOne(a, view[*api.PerformanceReply]{json: rowJSON[*api.PerformanceReply]}, reply, func(w io.Writer) error { return writePerformance(w, reply) })
		})(cmd, args)
	}
	return cmd
}

func writePerformance(w io.Writer, p *api.PerformanceReply) error {
	for _, s := range p.Series {
		fmt.Fprintf(w, "%s %s: %s\n%s\n", p.Machine, s.Metric, summary(s.Samples), chart(s.Samples))
	}
	if len(p.Series) == 0 {
		fmt.Fprintf(w, "no samples of %s\n", p.Machine)
	}
	for _, text := range p.Problems {
		fmt.Fprintln(w, clean(text))
	}
	if len(p.Thresholds) == 0 {
		return nil
	}
	return writeTable(w, []column[*schema.Threshold]{
		{"METRIC", (*schema.Threshold).GetMetric},
		{"THRESHOLD", thresholdText},
		{"EVENT", (*schema.Threshold).GetEvent},
		{"RECOVERY", (*schema.Threshold).GetRecovery},
		{"CROSSED SINCE", func(t *schema.Threshold) string {
			for _, c := range p.Crossed {
				if c.Event == t.Event && c.Metric == t.Metric {
					return localTime(c.Since)
				}
			}
			return ""
		}},
	}, p.Thresholds)
}

func thresholdText(t *schema.Threshold) string {
	side, times := "above", t.Times
	if t.Below {
		side = "below"
	}
	if times == 0 {
		times = schema.DefaultTimes
	}
	return fmt.Sprintf("%s %d %%, %d times", side, t.Value, times)
}

// summary tells the newest sample, and the range and the mean of all.
func summary(samples []*api.Sample) string {
	last := samples[len(samples)-1]
	low, high, sum := last.Value, last.Value, 0.0
	for _, s := range samples {
		low, high, sum = min(low, s.Value), max(high, s.Value), sum+s.Value
	}
	return fmt.Sprintf("%.0f %% at %s; %.0f to %.0f %%, mean %.0f %%; samples: %d, the newest by %s",
		last.Value, localTime(last.Time), low, high, sum/float64(len(samples)), len(samples), last.Manager)
}

// Size of a chart, in characters.
const (
	chartWidth  = 60
	chartHeight = 5
)

// chart draws samples over time: each column shows the highest sample of its
// time, and stays empty when there is none.
func chart(samples []*api.Sample) string {
	first, last := samples[0].Time.AsTime(), samples[len(samples)-1].Time.AsTime()
	var tops [chartWidth]float64
	for i := range tops {
		tops[i] = math.NaN()
	}
	for _, s := range samples {
		i := 0
		if span := last.Sub(first); span > 0 {
			i = int(int64(s.Time.AsTime().Sub(first)) * (chartWidth - 1) / int64(span))
		}
		if i = max(0, min(i, chartWidth-1)); math.IsNaN(tops[i]) || s.Value > tops[i] {
			tops[i] = s.Value
		}
	}
	var b strings.Builder
	const step = 100.0 / chartHeight
	for row := chartHeight; row > 0; row-- {
		fmt.Fprintf(&b, "%5.0f |", step*float64(row))
		line := make([]byte, 0, chartWidth)
		for _, top := range tops {
			switch rest := top - step*float64(row-1); {
			case rest > step/2:
				line = append(line, '#')
			case rest > 0:
				line = append(line, '.')
			case row == 1 && !math.IsNaN(top):
				line = append(line, '_')
			default:
				line = append(line, ' ')
			}
		}
		b.WriteString(strings.TrimRight(string(line), " "))
		b.WriteByte('\n')
	}
	from, to := first.In(time.Local).Format("15:04:05"), last.In(time.Local).Format("15:04:05")
	fmt.Fprintf(&b, "    0 +%s\n       %s%*s\n", strings.Repeat("-", chartWidth), from, chartWidth-len(from), to)
	return b.String()
}
