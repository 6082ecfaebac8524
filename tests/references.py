"""The references: optimizers and schedules in float64 NumPy, written from their papers.

Nothing here imports jefficient or jax.
"""

import math

import numpy as np


def sgd(grads, rate, momentum=None, nesterov=False):
    """Sutskever et al. 2013: m ← g + μm; u = -ηm, or with Nesterov u = -η(g + μm)."""
    m = np.zeros_like(grads[0])
    for t, g in enumerate(grads):
        if momentum is None:
            u = g
        else:
            m = momentum * m + g
            u = g + momentum * m if nesterov else m
        yield -rate(t) * u


def adam(grads, rate, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0, nesterov=False):
    """Kingma and Ba 2015, algorithm 1; with Nesterov, Dozat 2016 without the extra factor on v̂."""
    m = v = np.zeros_like(grads[0])
    for t, g in enumerate(grads, start=1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        m_hat = m / (1 - b1**t)
        if nesterov:
            m_hat = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
        v_hat = v / (1 - b2**t)
        yield -rate(t - 1) * m_hat / (np.sqrt(v_hat + eps_root) + eps)


def adamw(grads, rate, params, weight_decay, **adam_numbers):
    """Loshchilov and Hutter 2019, algorithm 2, the decay multiplied by the rate."""
    p = np.array(params, float)
    for t, u in enumerate(adam(grads, rate, **adam_numbers)):
        u = u - rate(t) * weight_decay * p
        p = p + u
        yield u


def soft(x, threshold):
    """Parikh and Boyd 2014, section 6.5.2."""
    return np.sign(x) * np.maximum(np.abs(x) - threshold, 0)


def proximal_sgd(grads, rate, params, l1, l2):
    """Beck and Teboulle 2009, equation 1.4, with the elastic net's proximal operator."""
    p = np.array(params, float)
    for t, g in enumerate(grads):
        new = soft(p - rate(t) * g, rate(t) * l1) / (1 + rate(t) * l2)
        yield new - p
        p = new


def proximal_adam(grads, rate, params, l1, l2, b1=0.9, b2=0.999, eps=1e-8):
    """Yun et al. 2021, algorithm 1, with Adam's preconditioner √v̂ + eps."""
    p = np.array(params, float)
    m = v = np.zeros_like(p)
    for t, g in enumerate(grads, start=1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        step = rate(t - 1) / (np.sqrt(v / (1 - b2**t)) + eps)
        new = soft(p - step * m / (1 - b1**t), step * l1) / (1 + step * l2)
        yield new - p
        p = new


def decayed_sgd(grads, rate, params, l1=0.0, l2=0.0, towards=0.0):
    """Coupled decay: the penalty's gradient goes through the optimizer.

    Kumar et al. 2023 penalise λ/2·‖θ - θ₀‖².
    """
    p = np.array(params, float)
    for t, g in enumerate(grads):
        u = -rate(t) * (g + l2 * (p - towards) + l1 * np.sign(p))
        p = p + u
        yield u


def hypergradient_descent(grads, directions, rate, hyper_rate, rule):
    """Baydin et al. 2018, equations 5 and 8, for updates rate·direction."""
    before = np.zeros_like(grads[0])
    for g, d in zip(grads, directions, strict=True):
        h = (g * before).sum()
        if rule == "additive":
            rate = rate - hyper_rate * h
        elif before.any():
            rate = rate * (1 - hyper_rate * h / np.sqrt((g**2).sum() * (before**2).sum()))
        yield rate * d
        before = d


def clipped_sgd(grads, rate, max_norm):
    """Pascanu et al. 2013, algorithm 1."""
    for t, g in enumerate(grads):
        norm = math.sqrt((g**2).sum())
        yield -rate(t) * (g * max_norm / norm if norm > max_norm else g)


def magnitude_pruned(grads, rate, params, momentum, sparsity, times):
    """Zhu and Gupta 2017: at these times the smallest weights are masked, and are not updated."""
    p = np.array(params, float)
    m = np.zeros_like(p)
    kept = np.ones(p.size, bool)
    for t, g in enumerate(grads):
        m = momentum * m + g * kept
        new = np.where(kept, p - rate(t) * m, 0.0)
        if t in times:
            zeros = round(sparsity(t) * p.size)
            kept = np.ones(p.size, bool)
            kept[np.argsort(np.abs(new))[:zeros]] = False
        new = np.where(kept, new, 0.0)
        yield new - p
        p = new


def straight_through(grads, rate, params, sparsity):
    """Bengio et al. 2013, section 4, for a mask: the gradient at the masked weights moves all."""
    z = np.array(params, float)
    p = z
    for t, g in enumerate(grads):
        z = z - rate(t) * g
        new = z.copy()
        new[np.argsort(np.abs(z))[: round(sparsity * z.size)]] = 0.0
        yield new - p
        p = new


def rigl(grads, rate, params, first, fraction, every, end):
    """Evci et al. 2020, algorithm 1, from the mask `first`, which the update t = 0 applies."""
    p = np.array(params, float)
    kept = np.array(first)
    for t, g in enumerate(grads):
        new = p - rate(t) * g * kept
        if t % every == 0 and t < end:
            new = p.copy()
            if t > 0:
                decayed = fraction / 2 * (1 + math.cos(t * math.pi / end))
                k = round(decayed * kept.sum())
                active = np.flatnonzero(kept)
                dropped = active[np.argsort(np.abs(p[active]))[:k]]
                zero = np.setdiff1d(np.arange(p.size), np.setdiff1d(active, dropped))
                grown = zero[np.argsort(-np.abs(g[zero]))[:k]]
                kept[dropped] = False
                kept[grown] = True
            new[~kept] = 0.0
        yield new - p
        p = new


def exponential_decay(t, init, steps, rate, begin=0, staircase=False, end=None):
    p = max(t - begin, 0) / steps
    value = init * rate ** (math.floor(p) if staircase else p)
    if end is None:
        return value
    return max(value, end) if rate < 1 else min(value, end)


def inverse_time_decay(t, init, steps, rate, begin=0, staircase=False, end=None):
    p = max(t - begin, 0) / steps
    value = init / (1 + rate * (math.floor(p) if staircase else p))
    return value if end is None else max(value, end)


def cosine_decay(t, init, steps, alpha=0.0, exponent=1.0):
    """Loshchilov and Hutter 2017, equation 5: sin² of half the angle left is (1 + cos) / 2."""
    c = math.sin(math.pi / 2 * (1 - min(t / steps, 1))) ** 2
    return init * ((1 - alpha) * c**exponent + alpha)


def polynomial(t, init, end, power, steps, begin=0):
    left = 1 - min(max(t - begin, 0) / steps, 1)
    return end + (init - end) * left**power


def piecewise_constant(t, init, boundaries, scales):
    for boundary, scale in zip(boundaries, scales, strict=True):
        init = init * scale if t >= boundary else init
    return init


def interpolated(t, knots, values, log=True):
    values = np.asarray(values, float)
    at_t = np.interp(t, knots, np.log(values) if log else values)
    return np.exp(at_t) if log else at_t


def warmup_constant(t, init, peak, warmup):
    return init + (peak - init) * t / warmup if t < warmup else peak


def warmup_stable_decay(t, init, peak, warmup, stable, decay, end=0.0, power=1.0):
    """Hägele et al. 2024, section 3."""
    if t < warmup:
        return init + (peak - init) * t / warmup
    return peak + (end - peak) * min(max(t - warmup - stable, 0) / decay, 1) ** power


def cosine_onecycle(t, steps, peak, start=0.3, div=25.0, final=1e4):
    """Smith and Topin 2018, with half a cosine in each direction."""
    top = math.floor(start * steps)
    if t < top:
        low, share = peak / div, t / top
    else:
        low, share = peak / div / final, 1 - min((t - top) / (steps - top), 1)
    return low + (peak - low) * math.sin(math.pi / 2 * share) ** 2


def sgdr(t, cycles):
    """Loshchilov and Hutter 2017, equation 5: cycles of (init, peak, warmup, steps, end)."""
    for cycle in cycles[:-1]:
        if t < cycle[3]:
            return warmup_cosine_decay(t, *cycle)
        t -= cycle[3]
    return warmup_cosine_decay(t, *cycles[-1])


def rsqrt(t, init, shift):
    """Vaswani et al. 2017, equation 3, after the warmup."""
    return init * math.sqrt(shift / (t + shift))


def warmup_cosine_decay(t, init, peak, warmup, steps, end=0.0, exponent=1.0):
    if t < warmup:
        return init + (peak - init) * t / warmup
    c = math.sin(math.pi / 2 * (1 - min((t - warmup) / (steps - warmup), 1))) ** 2
    return end + (peak - end) * c**exponent
